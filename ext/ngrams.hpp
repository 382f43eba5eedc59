// Counting of word and character n-grams: tokens, their order, and a depth-first walk over sorted positions.
//
// Tokens are the maximal runs of at least two word characters of the lower-cased text, which is what the pattern
// (?u)\b\w\w+\b matches; with marks, these belong to the word before them. They are kept as UTF-8, whose byte order is
// the code point order of Python's str.
#pragma once

#include <Python.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

#include "marks.hpp"

namespace fingerpost {

inline uint64_t mix64(uint64_t value) {
    value ^= value >> 33;
    value *= 0xff51afd7ed558ccdULL;
    value ^= value >> 33;
    value *= 0xc4ceb9fe1a85ec53ULL;
    return value ^ (value >> 33);
}

inline uint64_t load_bytes(const char* data, size_t size) {
    uint64_t word = 0;
    std::memcpy(&word, data, size);
    return word;
}

// Used inside one process only, so it may depend on the byte order.
inline uint64_t table_hash(const char* data, size_t size) {
    uint64_t state = size * 0x9e3779b97f4a7c15ULL;
    while (size > 8) {
        state = (state ^ load_bytes(data, 8)) * 0xff51afd7ed558ccdULL;
        state ^= state >> 32;
        data += 8;
        size -= 8;
    }
    uint64_t last;
    if (size == 8) {
        last = load_bytes(data, 8);
    } else if (size >= 4) {
        last = load_bytes(data, 4) | (load_bytes(data + size - 4, 4) << 32);
    } else {
        last = size == 0 ? 0
                         : (uint64_t(uint8_t(data[0])) | (uint64_t(uint8_t(data[size / 2])) << 8) |
                            (uint64_t(uint8_t(data[size - 1])) << 16));
    }
    state = (state ^ last) * 0x9e3779b97f4a7c15ULL;
    return state ^ (state >> 29);
}

// The documented hash of a term's UTF-8: FNV-1a of 64 bits, byte by byte, then the finaliser of MurmurHash3.
constexpr uint64_t FNV_OFFSET = 0xcbf29ce484222325ULL;
inline uint64_t fnv1a(uint64_t state, const char* data, size_t size) {
    for (size_t i = 0; i < size; ++i) state = (state ^ uint8_t(data[i])) * 0x100000001b3ULL;
    return state;
}

// Distinct byte strings, numbered in order of arrival.
struct StringTable {
    struct Slot {
        uint32_t tag;
        uint32_t id_plus_one;
    };
    std::vector<Slot> slots;
    std::vector<uint64_t> offsets{0};
    std::vector<char> bytes;
    uint64_t mask;

    StringTable() : slots(256, Slot{0, 0}), mask(255) {}

    size_t size() const { return offsets.size() - 1; }
    const char* data(uint32_t id) const { return bytes.data() + offsets[id]; }
    size_t length(uint32_t id) const { return size_t(offsets[id + 1] - offsets[id]); }

    uint32_t intern(const char* text, size_t length_) {
        const uint64_t hash = table_hash(text, length_);
        const uint32_t tag = uint32_t(hash >> 32);
        uint64_t at = hash & mask;
        while (slots[at].id_plus_one) {
            if (slots[at].tag == tag) {
                const uint32_t id = slots[at].id_plus_one - 1;
                if (length(id) == length_ && std::memcmp(data(id), text, length_) == 0) return id;
            }
            at = (at + 1) & mask;
        }
        const uint32_t id = uint32_t(size());
        slots[at] = Slot{tag, id + 1};
        bytes.insert(bytes.end(), text, text + length_);
        offsets.push_back(bytes.size());
        if (size() * 2 > slots.size()) grow();
        return id;
    }

    // ids in the order of their bytes.
    std::vector<uint32_t> sorted() const {
        struct Entry {
            uint64_t head;
            uint32_t id;
        };
        std::vector<Entry> entries(size());
        for (uint32_t id = 0; id < entries.size(); ++id) {
            uint64_t head = 0;  // the first eight bytes, big-endian, so that most comparisons are of one integer
            const size_t shown = std::min<size_t>(length(id), 8);
            for (size_t i = 0; i < shown; ++i) head |= uint64_t(uint8_t(data(id)[i])) << (56 - 8 * i);
            entries[id] = Entry{head, id};
        }
        std::sort(entries.begin(), entries.end(), [this](const Entry& a, const Entry& b) {
            if (a.head != b.head) return a.head < b.head;
            const size_t la = length(a.id), lb = length(b.id);
            const int order = std::memcmp(data(a.id), data(b.id), std::min(la, lb));
            return order ? order < 0 : la < lb;
        });
        std::vector<uint32_t> ids(size());
        for (size_t i = 0; i < ids.size(); ++i) ids[i] = entries[i].id;
        return ids;
    }

  private:
    void grow() {
        std::vector<Slot> larger(slots.size() * 4, Slot{0, 0});
        mask = larger.size() - 1;
        for (uint32_t id = 0; id < size(); ++id) {
            const uint64_t hash = table_hash(data(id), length(id));
            uint64_t at = hash & mask;
            while (larger[at].id_plus_one) at = (at + 1) & mask;
            larger[at] = Slot{uint32_t(hash >> 32), id + 1};
        }
        slots.swap(larger);
    }
};

inline size_t append_utf8(char* out, uint32_t code) {
    if (code < 0x80) {
        out[0] = char(code);
        return 1;
    }
    if (code < 0x800) {
        out[0] = char(0xc0 | (code >> 6));
        out[1] = char(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = char(0xe0 | (code >> 12));
        out[1] = char(0x80 | ((code >> 6) & 0x3f));
        out[2] = char(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = char(0xf0 | (code >> 18));
    out[1] = char(0x80 | ((code >> 12) & 0x3f));
    out[2] = char(0x80 | ((code >> 6) & 0x3f));
    out[3] = char(0x80 | (code & 0x3f));
    return 4;
}

// For each byte: the lower-cased byte if it is an ASCII word character, else 0.
struct AsciiWords {
    char lower[128];
    AsciiWords() {
        for (int c = 0; c < 128; ++c) {
            const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
            lower[c] = word ? char(c >= 'A' && c <= 'Z' ? c + 32 : c) : '\0';
        }
    }
};
inline const AsciiWords ASCII_WORDS;

// The tokens of all texts: `tokens` holds ids until rank() replaces them by their place in lexicographic order.
struct Tokens {
    StringTable table;
    std::vector<uint32_t> tokens;
    std::vector<uint64_t> starts{0};
    std::vector<uint32_t> ordered;  // rank -> id in the table
    std::vector<char> buffer;
    bool marks = false;

    const char* data(uint32_t rank) const { return table.data(ordered[rank]); }
    size_t length(uint32_t rank) const { return table.length(ordered[rank]); }
    size_t distinct() const { return table.size(); }

    void add_ascii(const char* text, size_t size) {
        if (buffer.size() < size) buffer.resize(size);
        char* const word = buffer.data();
        size_t i = 0;
        while (i < size) {
            size_t filled = 0;
            char c;
            while (i < size && (c = ASCII_WORDS.lower[uint8_t(text[i])])) {
                word[filled++] = c;
                ++i;
            }
            if (filled > 1) tokens.push_back(table.intern(word, filled));
            ++i;
        }
        starts.push_back(tokens.size());
    }

    // Text that is already lower-cased; a word character is what Python's re takes for \w: alphanumeric or "_".
    template <typename Char>
    void add_lowered(const Char* text, size_t size) {
        if (buffer.size() < size * 4) buffer.resize(size * 4);
        char* const word = buffer.data();
        size_t i = 0;
        while (i < size) {
            size_t filled = 0, characters = 0;
            while (i < size) {
                const uint32_t code = uint32_t(text[i]);
                const bool letter = code < 128 ? ASCII_WORDS.lower[code] != 0 : bool(Py_UNICODE_ISALNUM(Py_UCS4(code)));
                if (marks && characters && is_optional(code)) {
                    ++i;
                    continue;
                }
                if (!letter && !(marks && characters && is_mark(code))) break;
                filled += append_utf8(word + filled, code);
                ++characters;
                ++i;
            }
            if (characters > 1) tokens.push_back(table.intern(word, filled));
            ++i;
        }
        starts.push_back(tokens.size());
    }

    void add_object(PyObject* text) {
        const size_t size = size_t(PyUnicode_GET_LENGTH(text));
        switch (PyUnicode_KIND(text)) {
            case PyUnicode_1BYTE_KIND: add_lowered(PyUnicode_1BYTE_DATA(text), size); break;
            case PyUnicode_2BYTE_KIND: add_lowered(PyUnicode_2BYTE_DATA(text), size); break;
            default: add_lowered(PyUnicode_4BYTE_DATA(text), size); break;
        }
    }

    void rank() {
        ordered = table.sorted();
        std::vector<uint32_t> ranks(ordered.size());
        for (uint32_t place = 0; place < ordered.size(); ++place) ranks[ordered[place]] = place;
        for (uint32_t& token : tokens) token = ranks[token];
    }
};

// Sorts (token << 32 | position) by token; positions arrive in ascending order.
inline void sort_group(std::vector<uint64_t>& keys, std::vector<uint64_t>& spare, unsigned token_bits) {
    constexpr unsigned DIGIT = 9;
    constexpr size_t BINS = size_t(1) << DIGIT;
    if (keys.size() < 400) {
        std::sort(keys.begin(), keys.end());
        return;
    }
    spare.resize(keys.size());
    for (unsigned shift = 32; shift < 32 + token_bits; shift += DIGIT) {
        size_t places[BINS] = {0};
        for (const uint64_t key : keys) ++places[(key >> shift) & (BINS - 1)];
        size_t total = 0;
        for (size_t& place : places) {
            const size_t here = place;
            place = total;
            total += here;
        }
        for (const uint64_t key : keys) spare[places[(key >> shift) & (BINS - 1)]++] = key;
        keys.swap(spare);
    }
}

// Counts by term, terms in lexicographic order; fill() turns them to rows.
struct Counts {
    std::vector<uint64_t> row_sizes;
    // Word family: the row of every occurrence, by term and then by row, and the tree of terms in preorder.
    std::vector<uint32_t> occurrence_row;
    std::vector<uint64_t> term_end;
    std::vector<uint32_t> node_token;
    std::vector<uint8_t> node_depth;  // 1 for a single word
    // Character family: entries in row order, and the terms.
    std::vector<uint32_t> entry_term;
    std::vector<float> entry_count;
    StringTable grams;
    std::vector<uint32_t> gram_order;

    size_t entries() const { return std::accumulate(row_sizes.begin(), row_sizes.end(), size_t(0)); }
};

// N-grams in order: the positions of one token, sorted by the token that follows, are the bigrams, and so on down.
// A blank sorts below every word character, so the order of joined n-grams is the preorder of this tree.
struct WordWalk {
    static constexpr uint32_t NO_ROW = 0xffffffff;
    const Tokens& source;
    Counts& out;
    unsigned least, most, token_bits;
    std::vector<uint64_t> cells;  // token << 32 | row of every position, together because they are read together
    std::vector<std::vector<uint64_t>> keys;  // one buffer a depth
    std::vector<uint64_t> spare;

    WordWalk(const Tokens& tokens_, Counts& out_, unsigned least_, unsigned most_)
        : source(tokens_), out(out_), least(least_), most(most_), token_bits(1), keys(most_ + 1) {
        while ((uint64_t(1) << token_bits) < source.distinct()) ++token_bits;
        cells.resize(source.tokens.size() + most);
        for (size_t row = 0; row + 1 < source.starts.size(); ++row)
            for (uint64_t at = source.starts[row]; at < source.starts[row + 1]; ++at)
                cells[at] = (uint64_t(source.tokens[at]) << 32) | row;
        // Positions after the last belong to no row.
        std::fill(cells.begin() + int64_t(source.tokens.size()), cells.end(), ~uint64_t(0));
    }

    void run() {
        const size_t total = source.tokens.size();
        std::vector<uint64_t> starts(source.distinct() + 1, 0);
        for (const uint32_t token : source.tokens) ++starts[token + 1];
        for (size_t i = 1; i < starts.size(); ++i) starts[i] += starts[i - 1];
        std::vector<uint64_t> order(total);
        std::vector<uint64_t> places(starts.begin(), starts.end() - 1);
        for (size_t position = 0; position < total; ++position)
            order[places[source.tokens[position]]++] = position;
        for (uint32_t token = 0; token < source.distinct(); ++token)
            visit(order.data() + starts[token], size_t(starts[token + 1] - starts[token]), token, 1);
    }

    // The low 32 bits of group[0..size) are the ascending positions where an n-gram of `depth` words starts.
    void visit(const uint64_t* group, size_t size, uint32_t token, unsigned depth) {
        out.node_token.push_back(token);
        out.node_depth.push_back(uint8_t(depth));
        const bool counted = depth >= least;
        const bool longer = depth < most;
        std::vector<uint64_t>& next = keys[depth];
        next.clear();
        uint32_t last = NO_ROW;
        for (size_t i = 0; i < size; ++i) {
            const uint64_t position = uint32_t(group[i]);
            const uint32_t row = uint32_t(cells[position]);
            const uint64_t follower = cells[position + depth];
            if (counted) {
                out.occurrence_row.push_back(row);
                out.row_sizes[row] += row != last;
                last = row;
            }
            if (longer && uint32_t(follower) == row) next.push_back((follower >> 32 << 32) | position);
        }
        if (counted) out.term_end.push_back(out.occurrence_row.size());
        if (next.size() > 1) sort_group(next, spare, token_bits);
        for (size_t begin = 0; begin < next.size();) {
            const uint64_t head = next[begin] >> 32;
            size_t end = begin + 1;
            while (end < next.size() && (next[end] >> 32) == head) ++end;
            visit(next.data() + begin, end - begin, uint32_t(head), depth + 1);
            begin = end;
        }
    }
};

// Places where each UTF-8 character of the string begins, and its end.
inline void character_starts(const char* data, size_t size, std::vector<size_t>& starts) {
    starts.clear();
    for (size_t i = 0; i < size; ++i)
        if ((uint8_t(data[i]) & 0xc0) != 0x80) starts.push_back(i);
    starts.push_back(size);
}

// A set of small integers that is read back in ascending order, in time proportional to what it holds.
struct OrderedSet {
    std::vector<uint64_t> words, summary;
    explicit OrderedSet(size_t size) : words(size / 64 + 1, 0), summary(size / 4096 + 1, 0) {}
    void insert(uint32_t value) {
        words[value >> 6] |= uint64_t(1) << (value & 63);
        summary[value >> 12] |= uint64_t(1) << ((value >> 6) & 63);
    }
    template <typename Visit>
    void drain(Visit visit) {
        for (size_t high = 0; high < summary.size(); ++high) {
            while (summary[high]) {
                const size_t at = (high << 6) | size_t(__builtin_ctzll(summary[high]));
                uint64_t word = words[at];
                while (word) {
                    visit(uint32_t((at << 6) | size_t(__builtin_ctzll(word))));
                    word &= word - 1;
                }
                words[at] = 0;
                summary[high] &= summary[high] - 1;
            }
        }
    }
};

// A token's character n-grams are found once for each distinct token.
inline void count_characters(const Tokens& source, Counts& out, unsigned least, unsigned most) {
    std::vector<uint64_t> gram_starts{0};
    std::vector<uint32_t> token_grams;
    std::vector<size_t> starts;
    std::vector<char> marked;
    for (uint32_t token = 0; token < source.distinct(); ++token) {
        marked.assign(source.data(token), source.data(token) + source.length(token));
        marked.push_back('#');
        character_starts(marked.data(), marked.size(), starts);
        for (unsigned size = least; size <= most; ++size)
            for (size_t i = 0; i + size < starts.size(); ++i)
                token_grams.push_back(out.grams.intern(marked.data() + starts[i], starts[i + size] - starts[i]));
        gram_starts.push_back(token_grams.size());
    }
    out.gram_order = out.grams.sorted();
    std::vector<uint32_t> ranks(out.gram_order.size());
    for (uint32_t place = 0; place < ranks.size(); ++place) ranks[out.gram_order[place]] = place;
    for (uint32_t& gram : token_grams) gram = ranks[gram];

    std::vector<float> counts(ranks.size(), 0.0f);
    OrderedSet touched(ranks.size());
    for (size_t row = 0; row + 1 < source.starts.size(); ++row) {
        for (uint64_t position = source.starts[row]; position < source.starts[row + 1]; ++position) {
            const uint32_t token = source.tokens[position];
            for (uint64_t at = gram_starts[token]; at < gram_starts[token + 1]; ++at) {
                counts[token_grams[at]] += 1.0f;
                touched.insert(token_grams[at]);
            }
        }
        const size_t before = out.entry_term.size();
        touched.drain([&](uint32_t gram) {
            out.entry_term.push_back(gram);
            out.entry_count.push_back(counts[gram]);
            counts[gram] = 0.0f;
        });
        out.row_sizes[row] = out.entry_term.size() - before;
    }
}

inline void count_words(const Tokens& source, Counts& out, unsigned least, unsigned most) {
    // One occurrence a token and length; long n-grams are rare enough to let the vector grow.
    out.occurrence_row.reserve(source.tokens.size() * std::min(most - least + 1, 3u));
    WordWalk(source, out, least, most).run();
}

// Row pointers, sorted term numbers and counts; the arrays are the caller's.
inline void fill_rows(const Counts& from, int64_t* indptr, int32_t* indices, float* counts) {
    const size_t rows = from.row_sizes.size();
    indptr[0] = 0;
    for (size_t row = 0; row < rows; ++row) indptr[row + 1] = indptr[row] + int64_t(from.row_sizes[row]);
    if (from.occurrence_row.empty()) {
        for (size_t i = 0; i < from.entry_term.size(); ++i) {
            indices[i] = int32_t(from.entry_term[i]);
            counts[i] = from.entry_count[i];
        }
        return;
    }
    std::vector<int64_t> places(indptr, indptr + rows);
    size_t entry = 0;
    for (size_t term = 0; term < from.term_end.size(); ++term) {
        int64_t at = 0;
        for (uint32_t last = WordWalk::NO_ROW; entry < from.term_end[term]; ++entry) {
            const uint32_t row = from.occurrence_row[entry];
            if (row == last) {
                counts[at] += 1.0f;
                continue;
            }
            at = places[row]++;
            indices[at] = int32_t(term);
            counts[at] = 1.0f;
            last = row;
        }
    }
}

// The bytes of every word term in order: calls take(bytes, size) with a buffer that is reused.
template <typename Take>
void each_word_term(const Counts& from, const Tokens& source, unsigned least, Take take) {
    std::vector<char> text;
    std::vector<size_t> ends{0};
    for (size_t node = 0; node < from.node_token.size(); ++node) {
        const size_t depth = from.node_depth[node];
        ends.resize(depth);
        text.resize(ends.back());
        if (depth > 1) text.push_back(' ');
        const char* word = source.data(from.node_token[node]);
        text.insert(text.end(), word, word + source.length(from.node_token[node]));
        ends.push_back(text.size());
        if (depth >= least) take(text.data(), text.size());
    }
}

inline PyObject* term_object(const char* data, size_t size) {
    bool ascii = true;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) ascii &= (load_bytes(data + i, 8) & 0x8080808080808080ULL) == 0;
    for (; i < size; ++i) ascii &= uint8_t(data[i]) < 0x80;
    if (!ascii) return PyUnicode_DecodeUTF8(data, Py_ssize_t(size), nullptr);
    PyObject* text = PyUnicode_New(Py_ssize_t(size), 127);
    if (text) std::memcpy(PyUnicode_1BYTE_DATA(text), data, size);
    return text;
}

// A new list of the terms in order, or null with an exception set.
inline PyObject* term_list(const Counts& from, const Tokens& source, bool words, unsigned least) {
    const size_t total = words ? from.term_end.size() : from.gram_order.size();
    PyObject* list = PyList_New(Py_ssize_t(total));
    if (!list) return nullptr;
    Py_ssize_t filled = 0;
    bool failed = false;
    const auto take = [&](const char* data, size_t size) {
        if (failed) return;
        PyObject* text = term_object(data, size);
        if (!text) {
            failed = true;
            return;
        }
        PyList_SET_ITEM(list, filled++, text);
    };
    if (words) {
        each_word_term(from, source, least, take);
    } else {
        for (const uint32_t gram : from.gram_order) take(from.grams.data(gram), from.grams.length(gram));
    }
    if (failed) {
        Py_DECREF(list);
        return nullptr;
    }
    return list;
}

// The documented 64-bit hash of every term, in term order.
inline std::vector<uint64_t> term_hashes(const Counts& from, const Tokens& source, bool words, unsigned least) {
    std::vector<uint64_t> hashes;
    const auto take = [&](const char* data, size_t size) { hashes.push_back(mix64(fnv1a(FNV_OFFSET, data, size))); };
    if (words) {
        each_word_term(from, source, least, take);
    } else {
        for (const uint32_t gram : from.gram_order) take(from.grams.data(gram), from.grams.length(gram));
    }
    return hashes;
}

// Renames the terms of filled rows to buckets and adds up what falls together; returns the number of entries left.
inline int64_t fold_rows(const std::vector<uint64_t>& hashes, uint64_t buckets, size_t rows, int64_t* indptr,
                         int32_t* indices, float* counts) {
    std::vector<std::pair<int32_t, float>> row_entries;
    int64_t out = 0, begin = 0;
    for (size_t row = 0; row < rows; ++row) {
        const int64_t end = indptr[row + 1];
        row_entries.clear();
        for (int64_t i = begin; i < end; ++i)
            row_entries.emplace_back(int32_t(hashes[size_t(indices[i])] % buckets), counts[i]);
        // Counts are whole numbers far below 2^24, so the order of addition does not matter.
        std::sort(row_entries.begin(), row_entries.end());
        indptr[row] = out;
        for (const auto& [bucket, count] : row_entries) {
            if (out > indptr[row] && indices[out - 1] == bucket) {
                counts[out - 1] += count;
            } else {
                indices[out] = bucket;
                counts[out++] = count;
            }
        }
        begin = end;
    }
    indptr[rows] = out;
    return out;
}

}  // namespace fingerpost
