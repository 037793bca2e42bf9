#include "classes/bound.h"

#include <algorithm>
#include <cmath>

namespace rescale_fast {
namespace {

struct Pair {
  std::int32_t a, b;     // a < b
  std::int64_t weight;   // fixed point
  std::int64_t share_a;  // of the weight, 0..weight; the rest is b's
};

// Units of about 2^-44 of the total: fine enough for any bound, and sums stay far from overflow.
int choose_fraction_bits(double total) {
  const int exponent = total > 0 ? std::ilogb(total) : 0;
  return 44 - exponent;
}

Array<Pair> evenly_split_pairs(const WeightGraph& graph, int fraction_bits) {
  Array<Pair> pairs;
  pairs.reserve(graph.num_entries() / 2);
  for (std::int64_t c = 0; c < graph.num_classes(); ++c) {
    for (std::int64_t e = graph.begin(c); e < graph.end(c); ++e) {
      if (c > graph.neighbor(e)) continue;
      const auto weight = static_cast<std::int64_t>(std::ceil(std::ldexp(graph.weight(e), fraction_bits)));
      pairs.push_back({static_cast<std::int32_t>(c), graph.neighbor(e), weight, weight / 2});
    }
  }
  return pairs;
}

Array<std::int64_t> shares_by_entry(const WeightGraph& graph, const Array<Pair>& pairs) {
  Array<std::int64_t> shares(graph.num_entries());
  Array<std::int64_t> next;  // the entry of each row that comes next: pairs are in order of (a, b)
  for (std::int64_t c = 0; c < graph.num_classes(); ++c) next.push_back(graph.begin(c));
  // Row b's entries with a < b come first and in order of a; its own pairs follow when the walk reaches b.
  for (const Pair& pair : pairs) {
    shares[next[pair.a]++] = pair.share_a;
    shares[next[pair.b]++] = pair.weight - pair.share_a;
  }
  return shares;
}

}  // namespace

EvenLoads even_loads(const WeightGraph& graph, std::int64_t max_steps, const Job& job) {
  EvenLoads result;
  result.fraction_bits = choose_fraction_bits(graph.total());
  Array<Pair> pairs = evenly_split_pairs(graph, result.fraction_bits);
  result.loads.assign(graph.num_classes(), 0);
  const auto load = [&](std::int32_t c) -> std::int64_t& { return result.loads[c]; };
  for (const Pair& pair : pairs) {
    load(pair.a) += pair.share_a;
    load(pair.b) += pair.weight - pair.share_a;
  }
  for (std::int64_t steps = 0; steps < max_steps; steps += pairs.size()) {
    bool moved = false;
    for (Pair& pair : pairs) {
      // Half the difference goes from the heavier to the lighter class, as far as the shares reach.
      const std::int64_t wanted = (load(pair.a) - load(pair.b)) / 2;
      const std::int64_t moves = std::clamp(wanted, pair.share_a - pair.weight, pair.share_a);
      if (moves == 0) continue;
      pair.share_a -= moves;
      load(pair.a) -= moves;
      load(pair.b) += moves;
      moved = true;
    }
    if (!moved || job.is_stopped()) break;
  }
  result.shares = shares_by_entry(graph, pairs);
  return result;
}

}  // namespace rescale_fast
