"""Slow, obvious versions of what the project computes fast."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def bm25_score(query: list[str], document: list[str], documents: list[list[str]], *, k1: float, b: float) -> float:
    """BM25 of one document for one query, all given as token lists, term by term."""
    mean = sum(len(tokens) for tokens in documents) / len(documents)
    score = 0.0
    for term in query:
        frequency = sum(term in tokens for tokens in documents)
        occurrences = document.count(term)
        idf = math.log(1 + (len(documents) - frequency + 0.5) / (frequency + 0.5))
        score += idf * occurrences * (k1 + 1) / (occurrences + k1 * (1 - b + b * len(document) / mean))
    return score


def reciprocal_rank(ranked: list[int], wanted: int) -> float:
    """One over the 1-based rank of ``wanted``, 0 where it is missing."""
    for rank, row in enumerate(ranked, start=1):
        if row == wanted:
            return 1 / rank
    return 0.0


def finger_split(vector: np.ndarray, centre: np.ndarray) -> tuple[float, np.ndarray]:
    """Coefficient of ``vector`` along ``centre`` and the residual orthogonal to it, in float64."""
    v, c = vector.astype(np.float64), centre.astype(np.float64)
    coefficient = float(v @ c / (c @ c))
    return coefficient, v - coefficient * c


def finger_cosine(q_residual: np.ndarray, d_residual: np.ndarray, directions: np.ndarray, *, signs: bool) -> float:
    """Estimated cosine of two residuals from their components along ``directions`` (rank, dim)."""
    q_part, d_part = directions.astype(np.float64) @ q_residual, directions.astype(np.float64) @ d_residual
    if signs:
        differing = sum((a > 0) != (b >= 0) for a, b in zip(q_part, d_part, strict=True))
        return math.cos(math.pi * differing / len(directions))
    norms = float(np.linalg.norm(q_part) * np.linalg.norm(d_part))
    return float(q_part @ d_part) / norms if norms > 0 else 0.0


def finger_estimate(
    query: np.ndarray, centre: np.ndarray, neighbour: np.ndarray, directions: np.ndarray, *, metric: str, signs: bool
) -> float:
    """FINGER's estimate of the distance between query and neighbour from the centre they share, without correction."""
    t_q, q_residual = finger_split(query, centre)
    t_d, d_residual = finger_split(neighbour, centre)
    norm2 = float(centre.astype(np.float64) @ centre.astype(np.float64))
    q_norm, d_norm = float(np.linalg.norm(q_residual)), float(np.linalg.norm(d_residual))
    cosine = finger_cosine(q_residual, d_residual, directions, signs=signs)
    if metric == "l2":
        return (t_q - t_d) ** 2 * norm2 + q_norm**2 + d_norm**2 - 2 * q_norm * d_norm * cosine
    return 1 - (t_q * t_d * norm2 + q_norm * d_norm * cosine)


def finger_search(
    neighbours: list[list[int]],
    entry: int,
    distance: Callable[[int], float],
    near: Callable[[int, float], list[bool] | None],
    *,
    ef: int,
) -> tuple[list[tuple[float, int]], int]:
    """Screened best-first search of one level: the ``ef`` nearest as (distance, node), and how many were compared.

    ``near(node, bound)`` says for each neighbour of a node whether its estimate is below the bound; None: compare all.
    """
    results = [(distance(entry), entry)]
    visited, expanded, compared = {entry}, set(), 0
    while True:
        waiting = [item for item in results if item[1] not in expanded]
        if not waiting:
            return results, compared
        node = min(waiting)[1]
        expanded.add(node)
        passed = near(node, max(results)[0]) if len(results) >= ef else None
        for position, neighbour in enumerate(neighbours[node]):
            if neighbour in visited or (passed is not None and not passed[position]):
                continue
            visited.add(neighbour)
            compared += 1
            results.append((distance(neighbour), neighbour))
        results = sorted(results)[:ef]


def lanes16(a: np.ndarray, b: np.ndarray, *, metric: str) -> np.float32:
    """The definition of the distance kernels: 16 lanes, two roundings a term, the tail as zeros, one tree."""
    zeros = np.zeros(-len(a) % 16, dtype=np.float32)
    a, b = np.concatenate([a, zeros]), np.concatenate([b, zeros])
    sums = np.zeros(16, dtype=np.float32)
    for i in range(0, len(a), 16):
        x, y = a[i : i + 16], b[i : i + 16]
        if metric == "l2":
            x = y = x - y
        sums = sums + x * y
    while len(sums) > 1:
        sums = sums[: len(sums) // 2] + sums[len(sums) // 2 :]
    return np.float32(sums[0])


def nearest(vectors: np.ndarray, queries: np.ndarray, k: int, metric: str) -> np.ndarray:
    """Rows of the k nearest of each query: all distances in float64, sorted with ties by row."""
    x, q = vectors.astype(np.float64), queries.astype(np.float64)
    if metric == "cosine":
        x, q = x / np.linalg.norm(x, axis=1)[:, None], q / np.linalg.norm(q, axis=1)[:, None]
    distances = ((q[:, None] - x[None]) ** 2).sum(axis=2) if metric == "l2" else 1 - q @ x.T
    return np.argsort(distances, axis=1, kind="stable")[:, :k]


def dual_svm(
    x: np.ndarray, y: np.ndarray, costs: np.ndarray, *, squared: bool, sweeps: int = 20_000
) -> tuple[np.ndarray, bool]:
    """Weights of a linear support vector machine without bias: exact coordinate descent on the dual, no shrinking.

    And whether it came to a standstill: with hinge loss, rows that are nearly alike can take millions of sweeps.
    """
    diagonal = 0.5 / costs if squared else np.zeros(len(y))
    upper = np.full(len(y), np.inf) if squared else costs
    gram = (x @ x.T) * np.outer(y, y)
    alpha = np.zeros(len(y))
    for _ in range(sweeps):
        largest = 0.0
        for i in range(len(y)):
            gradient = gram[i] @ alpha - 1 + diagonal[i] * alpha[i]
            curvature = gram[i, i] + diagonal[i]
            after = min(max(alpha[i] - gradient / curvature, 0.0), upper[i]) if curvature > 0 else upper[i]
            largest = max(largest, abs(after - alpha[i]))
            alpha[i] = after
        if largest < 1e-12:
            return (alpha * y) @ x, True
    return (alpha * y) @ x, False


def svm_objective(w: np.ndarray, x: np.ndarray, y: np.ndarray, costs: np.ndarray, *, squared: bool) -> float:
    """What the weights of a support vector machine minimise."""
    loss = np.maximum(0.0, 1 - y * (x @ w))
    return float(0.5 * w @ w + costs @ (loss**2 if squared else loss))


def halved(
    rows: np.ndarray, members: list[int], centres: tuple[int, int], *, max_iter: int, spherical: bool
) -> tuple[list[int], list[int]]:
    """Balanced 2-means from two first centres: the lower half of the projections goes left, in float64."""

    def unit(vector: np.ndarray) -> np.ndarray:
        norm = float(np.linalg.norm(vector))
        return vector / norm if norm > 0 else vector

    direction = rows[centres[1]].astype(np.float64) - rows[centres[0]]
    left: list[int] = []
    for _ in range(max_iter):
        ranked = sorted(members, key=lambda member: (float(rows[member] @ direction), member))
        found = sorted(ranked[: len(members) // 2])
        if found == left:
            break
        left = found
        right = sorted(set(members) - set(left))
        if spherical:
            direction = unit(rows[right].sum(axis=0, dtype=np.float64)) - unit(rows[left].sum(axis=0, dtype=np.float64))
        else:
            direction = rows[right].mean(axis=0, dtype=np.float64) - rows[left].mean(axis=0, dtype=np.float64)
    return left, sorted(set(members) - set(left))


def tree_scores(
    x: np.ndarray,
    parents: list[np.ndarray],
    weights: list[np.ndarray],
    bias: list[np.ndarray],
    transform: Callable,
    chained: list[np.ndarray],
) -> np.ndarray:
    """Every label's score for one dense query: the sum of the transformed values on its path, in float64.

    chained: bool (nodes,) of each level, which of them are chain nodes: those add nothing.
    """
    scores = np.zeros(1)
    for level, above in enumerate(parents):
        values = x.astype(np.float64) @ weights[level] + bias[level]
        scores = scores[above] + np.where(chained[level], 0.0, transform(values))
    return scores


def merged_columns(parts: list[tuple[np.ndarray, np.ndarray]], width: int) -> np.ndarray:
    """Columns of dense matrices at their places among ``width``, -1 left out: (rows, width)."""
    out = np.zeros((len(parts[0][0]), width), np.float32)
    for matrix, places in parts:
        for column, place in enumerate(places):
            if place >= 0:
                out[:, place] = matrix[:, column]
    return out


def drawn_neighbors(relations: list[int], cap: int, rng: np.random.Generator) -> list[int]:
    """Places of up to ``cap`` neighbours with the largest u^(1/w), w one over the neighbours of the same relation."""
    keys = [rng.random() ** relations.count(relation) for relation in relations]
    return sorted(range(len(relations)), key=lambda place: -keys[place])[:cap]


def shared_fact_cosine(left: Any, right: Any, matched: dict[int, int], *, any_relation: float) -> np.ndarray:
    """Cosines (left nodes, right nodes) of the facts that two graphs share, node by node and fact by fact.

    A left fact (r, n) with n matched counts as each right fact (q, matched[n]), by as much as r and q hold between the
    same matched nodes; besides, a common neighbour counts ``any_relation``. A fact weighs log(right nodes / (1 + those
    with it)).
    """
    edges = [
        [(v, r, n) for v in range(g.nodes) for r, n in zip(*(p.tolist() for p in g.neighbors_of(v)), strict=True)]
        for g in (left, right)
    ]
    back = set(matched.values())
    between: list[dict[int, set[tuple[int, int]]]] = [{}, {}]
    for v, r, n in edges[0]:
        if v in matched and n in matched:
            between[0].setdefault(r, set()).add((matched[v], matched[n]))
    for v, r, n in edges[1]:
        if v in back and n in back:
            between[1].setdefault(r, set()).add((v, n))

    def likeness(r: int, q: int) -> float:
        one, other = between[0].get(r, set()), between[1].get(q, set())
        return len(one & other) / math.sqrt((len(one) + 1) * (len(other) + 1))

    facts: list[dict[Any, dict[int, float]]] = [{}, {}]
    for v, q, n in edges[1]:
        facts[1].setdefault(v, {})[q, n] = 1.0
        facts[1][v][n] = any_relation
    having: dict[Any, set[int]] = {}
    for v, own in facts[1].items():
        for fact in own:
            having.setdefault(fact, set()).add(v)
    for v, r, n in edges[0]:
        own = facts[0].setdefault(v, {})
        if n not in matched:
            continue
        for fact in having:
            if isinstance(fact, tuple) and fact[1] == matched[n]:
                own[fact] = min(1.0, own.get(fact, 0.0) + likeness(r, fact[0]))
            elif fact == matched[n]:
                own[fact] = any_relation
    weight = {fact: max(0.0, math.log(right.nodes / (1 + len(nodes)))) for fact, nodes in having.items()}
    found = np.zeros((left.nodes, right.nodes))
    for v, own in facts[0].items():
        for u, theirs in facts[1].items():
            common = sum(own.get(fact, 0.0) * value * weight[fact] ** 2 for fact, value in theirs.items())
            lengths = (math.sqrt(sum((x * weight[f]) ** 2 for f, x in some.items())) for some in (own, theirs))
            product = math.prod(lengths)
            found[v, u] = common / product if product > 0 else 0.0
    return found


def average_linkage(
    members: frozenset[int], scored: dict[tuple[int, int], float], least: float, unscored: float
) -> set[frozenset[int]]:
    """Clusters of the members as the two with the highest mean between them are joined while it is at least ``least``."""
    clusters = {frozenset({member}) for member in members}

    def mean(one: frozenset[int], other: frozenset[int]) -> float:
        between = [(min(i, j), max(i, j)) for i in one for j in other]
        known = [scored[pair] for pair in between if pair in scored]
        return sum(known) / (len(known) + unscored * (len(between) - len(known))) if known else -1.0

    while len(clusters) > 1:
        best, one, other = max(
            (mean(one, other), sorted(one), sorted(other)) for one in clusters for other in clusters if one != other
        )
        if best < least:
            break
        clusters = clusters - {frozenset(one), frozenset(other)} | {frozenset([*one, *other])}
    return clusters


def kept_by_overlap(now: list[int], before: list[int]) -> dict[int, int]:
    """The cluster before whose id each cluster keeps: the largest overlap first, of equal ones that with the first member."""
    kept: dict[int, int] = {}
    shared = {
        (n, b): [i for i in range(len(now)) if (now[i], before[i]) == (n, b)]
        for n, b in zip(now, before, strict=True)
        if b >= 0
    }
    for n, b in sorted(shared, key=lambda pair: (-len(shared[pair]), shared[pair][0])):
        if n not in kept and b not in kept.values():
            kept[n] = b
    return kept


def said_of(world: Any, key: int) -> tuple[Any, ...]:
    """All that a graph says of an entity: type, name, attributes, and relations with the neighbours' keys and names."""
    entities, relations = world
    kind, name, attributes = entities[key]
    leads = sorted((relation, tail, entities[tail][1]) for head, relation, tail in relations if head == key)
    led = sorted((relation, head, entities[head][1]) for head, relation, tail in relations if tail == key)
    return kind, name, sorted(attributes), leads, led
