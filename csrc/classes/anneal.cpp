#include "classes/anneal.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "classes/selection.h"

namespace rescale_fast {
namespace {

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
std::int64_t worst_member(const Selection& selection, const Array<std::int64_t>& added, bool exact, Random& random) {
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

class Chain {
 public:
  Chain(const WeightGraph& graph, const DegreeSampler& sampler, const Array<std::int64_t>& start, std::uint64_t seed,
        int chain)
      : graph_(graph), sampler_(sampler), selection_(graph, start), random_(seed), chain_(chain) {}

  SearchResult run(double hottest, double coldest, std::int64_t work, SearchWatch& watch) {
    SearchResult best{selection_.members(), selection_.value()};
    const std::int64_t begin = selection_.work();
    std::int64_t reported = 0;
    temperature_ = hottest;
    watch.found(best.value, chain_);
    for (std::int64_t moves = 0, done = 0; done < work && selection_.size() < graph_.num_classes(); ++moves) {
      if (moves % 256 == 0) {
        if (watch.is_over(chain_)) break;
        watch.job.advance(done - reported);
        reported = done;
        const double share = static_cast<double>(done) / static_cast<double>(work);
        temperature_ = std::max(hottest * std::pow(coldest / hottest, share), std::numeric_limits<double>::min());
      }
      graph_.is_dense() ? try_swap() : try_exchange();
      done = selection_.work() - begin + kMoveWork * moves;
      if (selection_.value() <= best.value) continue;
      best = {selection_.members(), selection_.value()};
      watch.found(best.value, chain_);
    }
    return best;
  }

 private:
  static constexpr std::int64_t kMoveWork = 10;  // of a move that is not made

  bool accepts(double change) { return change >= 0 || random_.uniform() < std::exp(change / temperature_); }

  void try_swap() {
    const std::int64_t in = sampler_.draw(random_.uniform());
    if (selection_.has(in)) return;
    const std::int64_t out = selection_.member(random_.below(selection_.size()));
    if (!accepts(selection_.gain(in) - selection_.gain(out) - graph_.between(in, out))) return;
    selection_.drop(out);
    selection_.add(in);
  }

  void try_exchange() {
    const std::int64_t k = selection_.size();
    std::int64_t c = sampler_.draw(random_.uniform());
    if (selection_.has(c)) return;
    const int size = draw_cluster_size(random_, std::min(k, graph_.num_classes() - k));
    const double before = selection_.value();
    added_.clear();
    dropped_.clear();
    while (c >= 0 && added_.size() < size) {
      selection_.add(c);
      added_.push_back(c);
      c = best_neighbor(graph_, selection_, added_[random_.below(added_.size())]);
    }
    const bool exact = random_.uniform() < 0.2;
    while (dropped_.size() < added_.size()) {
      dropped_.push_back(worst_member(selection_, added_, exact, random_));
      selection_.drop(dropped_.back());
    }
    if (accepts(selection_.value() - before)) return;
    for (auto it = dropped_.rbegin(); it != dropped_.rend(); ++it) selection_.add(*it);
    for (auto it = added_.rbegin(); it != added_.rend(); ++it) selection_.drop(*it);
  }

  const WeightGraph& graph_;
  const DegreeSampler& sampler_;
  Selection selection_;
  Random random_;
  int chain_;
  double temperature_ = 0;
  Array<std::int64_t> added_, dropped_;
};

// What temperatures are measured in. Sparse: what a member of a choice contributes, on average. Dense: by how much
// classes differ in their weight to a choice (their standard deviation), which is far less than the contribution.
constexpr double kColdest = 0.02;

double natural_scale(const WeightGraph& graph, const Array<std::int64_t>& classes) {
  const Selection selection(graph, classes);
  const double k = static_cast<double>(classes.size()), n = static_cast<double>(graph.num_classes());
  double scale = 2 * selection.value() / k;
  if (graph.is_dense()) {
    double sum = 0, squares = 0;
    for (std::int64_t c = 0; c < graph.num_classes(); ++c) {
      sum += selection.gain(c);
      squares += selection.gain(c) * selection.gain(c);
    }
    scale = std::sqrt(std::max(0.0, squares / n - (sum / n) * (sum / n)));
  }
  return std::max(scale, std::numeric_limits<double>::min());
}

}  // namespace

DegreeSampler::DegreeSampler(const WeightGraph& graph) {
  double total = 0;
  for (std::int64_t c = 0; c < graph.num_classes(); ++c) cumulative_.push_back(total += graph.degree(c));
}

std::int64_t DegreeSampler::draw(double uniform) const {
  constexpr double kAnyClass = 0.1;  // the share of draws in which all classes are alike
  const std::int64_t n = cumulative_.size();
  if (uniform < kAnyClass) return static_cast<std::int64_t>(uniform / kAnyClass * static_cast<double>(n));
  const double at = (uniform - kAnyClass) / (1 - kAnyClass) * cumulative_.back();
  const auto found = std::upper_bound(cumulative_.begin(), cumulative_.end(), at) - cumulative_.begin();
  return std::min<std::int64_t>(found, n - 1);
}

SearchResult anneal(const WeightGraph& graph, const DegreeSampler& sampler, const Array<std::int64_t>& start,
                    double hottest, std::int64_t work, std::uint64_t seed, int chain, SearchWatch& watch) {
  const double scale = natural_scale(graph, start);
  return Chain(graph, sampler, start, seed, chain).run(hottest * scale, kColdest * scale, work, watch);
}

}  // namespace rescale_fast
