#include "classes/tabu.h"

#include <algorithm>
#include <limits>

#include "classes/selection.h"

namespace rescale_fast {
namespace {

// A swap changes the worth of every class, so all is kept in arrays over the classes, which a compiler can vectorise.
class TabuChain {
 public:
  TabuChain(const WeightGraph& graph, const Array<std::int64_t>& start, std::uint64_t seed, int chain)
      : graph_(graph),
        gain_(graph.num_classes(), 0.0),
        inside_(gain_.size(), 0),
        free_at_(gain_.size(), 0),
        members_(start),
        random_(seed),
        chain_(chain) {
    for (const std::int64_t c : start) {
      value_ += gain_[c];
      inside_[c] = 1;
      const double* row = graph_.row(c);
      for (std::int64_t i = 0; i < gain_.size(); ++i) gain_[i] += row[i];
    }
  }

  SearchResult run(std::int64_t work, SearchWatch& watch) {
    SearchResult best{members_, value_}, recent = best;  // recent: since the last restart
    const std::int64_t patience = 5 * num_classes() + 1000;
    const std::int64_t step_work = num_classes() / 4 + size() + 10;
    std::int64_t last_gain = 0;
    for (std::int64_t done = 0; done < work && size() < num_classes(); done += step_work, ++step_) {
      if (step_ % 64 == 0) {
        if (watch.is_over(chain_)) break;
        watch.job.advance(64 * step_work);
      }
      swap_best_for_worst();
      if (value_ > recent.value * (1 + 1e-12)) {
        recent = {members_, value_};
        last_gain = step_;
        if (recent.value > best.value) {
          best = recent;
          watch.found(best.value, chain_);
        }
      } else if (step_ - last_gain > patience) {
        go_to(random_.uniform() < 0.5 ? best.classes : recent.classes);
        perturb();
        recent = {members_, value_};
        last_gain = step_;
      }
    }
    return best;
  }

 private:
  std::int64_t num_classes() const { return gain_.size(); }
  std::int64_t size() const { return members_.size(); }

  void swap_best_for_worst() {
    std::int64_t in = -1, out_place = -1;
    double most = -std::numeric_limits<double>::infinity(), least = -most;
    const std::int64_t n = num_classes(), k = size();
    for (std::int64_t c = 0; c < n; ++c) {
      if (gain_[c] > most && !inside_[c] && free_at_[c] <= step_) {
        most = gain_[c];
        in = c;
      }
    }
    for (std::int64_t place = 0; place < k; ++place) {
      const std::int64_t c = members_[place];
      if (gain_[c] < least && free_at_[c] <= step_) {
        least = gain_[c];
        out_place = place;
      }
    }
    if (in < 0 || out_place < 0) return;  // all are tabu; some soon will not be
    const std::int64_t out = members_[out_place];
    swap(in, out_place);
    free_at_[in] = step_ + std::min<std::int64_t>(k / 4 + 1, 10) + random_.below(10);
    free_at_[out] = step_ + std::min<std::int64_t>((n - k) / 4 + 1, 20) + random_.below(20);
  }

  void swap(std::int64_t in, std::int64_t out_place) {
    const std::int64_t out = members_[out_place];
    value_ += gain_[in] - gain_[out] - graph_.between(in, out);
    members_[out_place] = in;
    inside_[in] = 1;
    inside_[out] = 0;
    const double *added = graph_.row(in), *dropped = graph_.row(out);
    const std::int64_t n = num_classes();
    for (std::int64_t c = 0; c < n; ++c) gain_[c] += added[c] - dropped[c];
  }

  void go_to(const Array<std::int64_t>& classes) {
    Array<char> wanted(gain_.size(), 0);
    for (const std::int64_t c : classes) wanted[c] = 1;
    std::int64_t place = 0;
    for (const std::int64_t c : classes) {
      if (inside_[c]) continue;
      while (wanted[members_[place]]) ++place;
      swap(c, place);
    }
  }

  void perturb() {
    const std::int64_t count = 2 + random_.below(std::clamp<std::int64_t>(size() / 2, 1, 28));
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t in = random_.below(num_classes());
      if (!inside_[in]) swap(in, random_.below(size()));
    }
    std::fill(free_at_.begin(), free_at_.end(), step_);
  }

  const WeightGraph& graph_;
  Array<double> gain_;           // (n) weight of each class to those inside
  Array<char> inside_;           // (n)
  Array<std::int64_t> free_at_;  // (n) the step from which each class may move again
  Array<std::int64_t> members_;  // (k)
  Random random_;
  int chain_;
  double value_ = 0;
  std::int64_t step_ = 0;
};

}  // namespace

SearchResult tabu_search(const WeightGraph& graph, const Array<std::int64_t>& start, std::int64_t work,
                         std::uint64_t seed, int chain, SearchWatch& watch) {
  return TabuChain(graph, start, seed, chain).run(work, watch);
}

}  // namespace rescale_fast
