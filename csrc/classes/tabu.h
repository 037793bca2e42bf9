// Tabu search for dense graphs: one chain, from one start.
#pragma once

#include <cstdint>

#include "classes/search.h"
#include "core/array.h"

namespace rescale_fast {

// Swaps, again and again, the best class outside for the worst inside, whether that helps or not; a class just moved
// may not move for a while. When nothing better has turned up for long, some classes are exchanged at random and the
// search goes on from there. `classes` of the result are in no order. Ends when `watch` says that the chain is over.
// Precondition: graph.is_dense(). Source: iterated tabu search is Palubeckis (2007); the constrained neighbourhood,
// Zhou, Hao and Duval (2017).
SearchResult tabu_search(const WeightGraph& graph, const Array<std::int64_t>& start, std::int64_t work,
                         std::uint64_t seed, int chain, SearchWatch& watch);

}  // namespace rescale_fast
