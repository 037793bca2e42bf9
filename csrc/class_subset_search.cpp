#include "class_subset_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "parallel.h"

namespace rescale_fast {

WeightGraph::WeightGraph(const double* weights, std::int64_t num_classes) : num_classes_(num_classes) {
  offsets_.reserve(static_cast<std::size_t>(num_classes) + 1);
  offsets_.push_back(0);
  for (std::int64_t i = 0; i < num_classes; ++i) {
    for (std::int64_t j = 0; j < num_classes; ++j) {
      const double weight = weights[i * num_classes + j];
      if (i == j || weight == 0.0) continue;
      neighbors_.push_back(static_cast<std::int32_t>(j));
      owners_.push_back(static_cast<std::int32_t>(i));
      weights_.push_back(weight);
    }
    offsets_.push_back(static_cast<std::int64_t>(neighbors_.size()));
  }
}

namespace {

// splitmix64 (Steele, Lea and Flood 2014): the same numbers on every platform, unlike std's distributions.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1.0p-53; }  // [0, 1)
  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(uniform() * static_cast<double>(n)); }

 private:
  std::uint64_t state_;
};

// A set of classes, the weight of each class to those inside, and the value, kept up to date by add and drop.
class Selection {
 public:
  explicit Selection(const WeightGraph& graph)
      : graph_(graph),
        gain_(static_cast<std::size_t>(graph.num_classes()), 0.0),
        place_(static_cast<std::size_t>(graph.num_classes()), -1) {}

  void add(std::int64_t c) {
    value_ += gain(c);
    place_[static_cast<std::size_t>(c)] = static_cast<std::int64_t>(members_.size());
    members_.push_back(c);
    update(c, 1.0);
  }
  void drop(std::int64_t c) {
    value_ -= gain(c);
    const std::int64_t hole = place_[static_cast<std::size_t>(c)];
    members_[static_cast<std::size_t>(hole)] = members_.back();
    place_[static_cast<std::size_t>(members_.back())] = hole;
    members_.pop_back();
    place_[static_cast<std::size_t>(c)] = -1;
    update(c, -1.0);
  }
  bool has(std::int64_t c) const { return place_[static_cast<std::size_t>(c)] >= 0; }
  double gain(std::int64_t c) const { return gain_[static_cast<std::size_t>(c)]; }
  double value() const { return value_; }
  std::int64_t size() const { return static_cast<std::int64_t>(members_.size()); }
  std::int64_t member(std::int64_t i) const { return members_[static_cast<std::size_t>(i)]; }
  const std::vector<std::int64_t>& members() const { return members_; }

 private:
  void update(std::int64_t c, double sign) {
    for (std::int64_t e = graph_.begin(c); e < graph_.end(c); ++e) {
      gain_[static_cast<std::size_t>(graph_.neighbor(e))] += sign * graph_.weight(e);
    }
  }

  const WeightGraph& graph_;
  std::vector<double> gain_;
  std::vector<std::int64_t> members_;
  std::vector<std::int64_t> place_;  // index in members_, -1 outside
  double value_ = 0;
};

// Where moves begin: an entry of the matrix drawn with a probability that grows with its weight.
class EntrySampler {
 public:
  explicit EntrySampler(const WeightGraph& graph) : graph_(graph) {
    cumulative_.reserve(static_cast<std::size_t>(graph.num_entries()));
    double total = 0;
    for (std::int64_t e = 0; e < graph.num_entries(); ++e) cumulative_.push_back(total += graph.weight(e));
  }
  // A class outside the selection, or -1 when the draw hit one inside.
  std::int64_t draw(const Selection& selection, Random& random) const {
    std::int64_t c;
    if (cumulative_.empty() || random.uniform() < 0.1) {
      c = random.below(graph_.num_classes());
    } else {
      const double at = random.uniform() * cumulative_.back();
      const auto entry = std::upper_bound(cumulative_.begin(), cumulative_.end(), at) - cumulative_.begin();
      c = graph_.owner(std::min<std::int64_t>(entry, graph_.num_entries() - 1));
    }
    return selection.has(c) ? -1 : c;
  }

 private:
  const WeightGraph& graph_;
  std::vector<double> cumulative_;
};

constexpr int kLargestCluster = 8;

// How many classes a move exchanges: one to three in two thirds of the moves, else a larger cluster.
int draw_cluster_size(Random& random, std::int64_t limit) {
  const double at = random.uniform();
  int size = 1;
  for (double share = 0.3, bound = share; at > bound && size < kLargestCluster; ++size) {
    share *= 0.75;
    bound += share;
  }
  return static_cast<int>(std::min<std::int64_t>(size, limit));
}

// The class outside that is worth most, among the neighbours of `seed`; -1 if there is none.
std::int64_t best_neighbor(const WeightGraph& graph, const Selection& selection, std::int64_t seed) {
  std::int64_t best = -1;
  for (std::int64_t e = graph.begin(seed); e < graph.end(seed); ++e) {
    const std::int64_t c = graph.neighbor(e);
    if (selection.has(c)) continue;
    if (best < 0 || selection.gain(c) > selection.gain(best)) best = c;
  }
  return best;
}

// A member to drop, never one just added: the one worth least of all (exact), or of a dozen drawn at random, which
// keeps the search moving.
std::int64_t worst_member(const Selection& selection, const std::vector<std::int64_t>& added, bool exact,
                          Random& random) {
  const auto fresh = [&](std::int64_t c) { return std::find(added.begin(), added.end(), c) != added.end(); };
  std::int64_t worst = -1;
  if (exact) {
    double least = std::numeric_limits<double>::infinity();
    for (const std::int64_t c : selection.members()) {
      if (selection.gain(c) < least && !fresh(c)) {
        worst = c;
        least = selection.gain(c);
      }
    }
    return worst;
  }
  for (int draw = 0; draw < 12 || worst < 0; ++draw) {
    const std::int64_t c = selection.member(random.below(selection.size()));
    if (!fresh(c) && (worst < 0 || selection.gain(c) < selection.gain(worst))) worst = c;
  }
  return worst;
}

void try_move(const WeightGraph& graph, const EntrySampler& sampler, Selection& selection, double temperature,
              Random& random, std::vector<std::int64_t>& added, std::vector<std::int64_t>& dropped) {
  const std::int64_t k = selection.size();
  std::int64_t c = sampler.draw(selection, random);
  if (c < 0) return;
  const int size = draw_cluster_size(random, std::min(k, graph.num_classes() - k));
  const double before = selection.value();
  added.clear();
  dropped.clear();
  while (c >= 0 && static_cast<int>(added.size()) < size) {
    selection.add(c);
    added.push_back(c);
    c = best_neighbor(graph, selection, added[static_cast<std::size_t>(random.below(
                                            static_cast<std::int64_t>(added.size())))]);
  }
  const bool exact = random.uniform() < 0.2;
  while (dropped.size() < added.size()) {
    dropped.push_back(worst_member(selection, added, exact, random));
    selection.drop(dropped.back());
  }
  const double change = selection.value() - before;
  if (change >= 0 || random.uniform() < std::exp(change / temperature)) return;
  for (auto it = dropped.rbegin(); it != dropped.rend(); ++it) selection.add(*it);
  for (auto it = added.rbegin(); it != added.rend(); ++it) selection.drop(*it);
}

// One-for-one swaps, best first, until none helps.
void swap_to_local_optimum(const WeightGraph& graph, Selection& selection, const std::atomic<bool>& stop) {
  const std::int64_t n = graph.num_classes();
  std::vector<double> between(static_cast<std::size_t>(n), 0.0);
  for (bool improved = true; improved && !stop.load(std::memory_order_relaxed);) {
    improved = false;
    double best = 1e-9 * (1.0 + selection.value());
    std::int64_t out = -1, in = -1;
    for (const std::int64_t u : selection.members()) {
      for (std::int64_t e = graph.begin(u); e < graph.end(u); ++e) {
        between[static_cast<std::size_t>(graph.neighbor(e))] = graph.weight(e);
      }
      for (std::int64_t v = 0; v < n; ++v) {
        if (selection.has(v)) continue;
        const double change = selection.gain(v) - selection.gain(u) - between[static_cast<std::size_t>(v)];
        if (change > best) {
          best = change;
          out = u;
          in = v;
        }
      }
      for (std::int64_t e = graph.begin(u); e < graph.end(u); ++e) {
        between[static_cast<std::size_t>(graph.neighbor(e))] = 0.0;
      }
    }
    if (out >= 0) {
      selection.drop(out);
      selection.add(in);
      improved = true;
    }
  }
}

// Drops, from all classes, the one worth least until k are left. Ties go to the higher index, which is dropped.
std::vector<std::int64_t> peel(const WeightGraph& graph, std::int64_t k, const std::atomic<bool>& stop) {
  Selection selection(graph);
  for (std::int64_t c = 0; c < graph.num_classes(); ++c) selection.add(c);
  while (selection.size() > k) {
    std::int64_t worst = -1;
    for (std::int64_t c = graph.num_classes() - 1; c >= 0; --c) {
      if (selection.has(c) && (worst < 0 || selection.gain(c) < selection.gain(worst))) worst = c;
    }
    selection.drop(worst);
    if (stop.load(std::memory_order_relaxed)) break;
  }
  std::vector<std::int64_t> left = selection.members();
  left.resize(static_cast<std::size_t>(std::min<std::int64_t>(k, selection.size())));
  return left;
}

std::vector<std::int64_t> start_of_chain(const WeightGraph& graph, const std::vector<std::int64_t>& greedy,
                                         std::int64_t k, int chain, Random& random, const std::atomic<bool>& stop) {
  if (chain == 0) return peel(graph, k, stop);
  if (chain == 1) return greedy;
  std::vector<std::int64_t> all(static_cast<std::size_t>(graph.num_classes()));
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i);
  for (std::int64_t i = 0; i < k; ++i) {
    std::swap(all[static_cast<std::size_t>(i)],
              all[static_cast<std::size_t>(i + random.below(graph.num_classes() - i))]);
  }
  all.resize(static_cast<std::size_t>(k));
  return all;
}

SearchResult anneal_chain(const WeightGraph& graph, const EntrySampler& sampler,
                          const std::vector<std::int64_t>& start, double scale, std::int64_t num_moves,
                          Random& random, const std::atomic<bool>& stop) {
  // From a good part of what a member of a good choice contributes, down to a hundredth of that.
  const double hottest = 0.16 * scale, coldest = 0.02 * scale;
  Selection selection(graph);
  for (const std::int64_t c : start) selection.add(c);
  SearchResult best{selection.members(), selection.value()};
  std::vector<std::int64_t> added, dropped;
  double temperature = hottest;
  for (std::int64_t move = 0; move < num_moves; ++move) {
    if (move % 256 == 0) {
      if (stop.load(std::memory_order_relaxed)) break;
      const double done = static_cast<double>(move) / static_cast<double>(num_moves);
      temperature = std::max(hottest * std::pow(coldest / hottest, done), std::numeric_limits<double>::min());
    }
    try_move(graph, sampler, selection, temperature, random, added, dropped);
    if (selection.value() > best.value) best = {selection.members(), selection.value()};
  }
  Selection polished(graph);
  for (const std::int64_t c : best.classes) polished.add(c);
  swap_to_local_optimum(graph, polished, stop);
  best = {polished.members(), polished.value()};
  std::sort(best.classes.begin(), best.classes.end());
  return best;
}

double exact_value(const WeightGraph& graph, const std::vector<std::int64_t>& classes) {
  Selection selection(graph);
  for (const std::int64_t c : classes) selection.add(c);
  return selection.value();
}

}  // namespace

SearchResult anneal_class_subset(const WeightGraph& graph, const std::vector<std::int64_t>& greedy, std::int64_t k,
                                 int num_chains, std::int64_t num_moves, std::uint64_t seed, int num_threads,
                                 const std::atomic<bool>& stop) {
  const EntrySampler sampler(graph);
  const double scale =
      std::max(2.0 * exact_value(graph, greedy) / static_cast<double>(k), std::numeric_limits<double>::min());
  std::vector<SearchResult> results(static_cast<std::size_t>(num_chains));
  std::atomic<int> next{0};
  parallel_ranges(std::min(num_chains, resolve_threads(num_threads)), num_threads,
                  [&](int, std::int64_t begin, std::int64_t end) {
                    for (std::int64_t worker = begin; worker < end; ++worker) {
                      for (int chain = next++; chain < num_chains; chain = next++) {
                        Random random(seed * 0x9e3779b97f4a7c15ULL + static_cast<std::uint64_t>(chain));
                        const auto start = start_of_chain(graph, greedy, k, chain, random, stop);
                        results[static_cast<std::size_t>(chain)] =
                            anneal_chain(graph, sampler, start, scale, num_moves, random, stop);
                      }
                    }
                  });
  SearchResult best{greedy, exact_value(graph, greedy)};
  std::sort(best.classes.begin(), best.classes.end());
  for (const SearchResult& result : results) {
    if (static_cast<std::int64_t>(result.classes.size()) == k && result.value > best.value) best = result;
  }
  best.value = exact_value(graph, best.classes);  // without the rounding of many additions and subtractions
  return best;
}

}  // namespace rescale_fast
