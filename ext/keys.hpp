// Candidates of a search as integers that sort as the candidates do.
#pragma once

#include <cstdint>
#include <cstring>

namespace fingerpost {

// A distance and a node in one integer that sorts by distance, then by node; the lowest bit is free for a flag.
inline uint64_t pack(float distance, uint32_t id) {
  uint32_t bits;
  // The zeros of both signs must be one key, or ties between them would not go by node.
  distance += 0.0f;
  std::memcpy(&bits, &distance, sizeof bits);
  bits ^= static_cast<uint32_t>(-static_cast<int32_t>(bits >> 31)) | 0x80000000u;
  return static_cast<uint64_t>(bits) << 32 | static_cast<uint64_t>(id) << 1;
}
inline float distance_of(uint64_t key) {
  uint32_t bits = static_cast<uint32_t>(key >> 32);
  bits ^= ((bits >> 31) - 1u) | 0x80000000u;
  float distance;
  std::memcpy(&distance, &bits, sizeof distance);
  return distance;
}
inline uint32_t id_of(uint64_t key) { return static_cast<uint32_t>(key) >> 1; }

}  // namespace fingerpost
