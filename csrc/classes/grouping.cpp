#include "classes/grouping.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "classes/selection.h"

namespace rescale_fast {
namespace {

// A grouping, and the weight of each class to each group, kept up to date by swap, so that a swap is judged by looking
// up five numbers: n * groups * 8 bytes.
class Grouping {
 public:
  Grouping(const WeightGraph& graph, const Array<std::int64_t>& group_of)
      : graph_(graph), group_of_(group_of), place_(group_of.size()) {
    members_.resize(*std::max_element(group_of.begin(), group_of.end()) + 1);
    weight_to_.assign(members_.size(), Array<double>(group_of.size(), 0.0));
    for (std::int64_t c = 0; c < group_of.size(); ++c) {
      Array<std::int64_t>& group = members_[group_of[c]];
      place_[c] = group.size();
      group.push_back(c);
      update(c, group_of[c], 1.0);
    }
    value_ = weight_inside(graph, group_of);
  }

  std::int64_t group(std::int64_t c) const { return group_of_[c]; }
  const Array<std::int64_t>& members(std::int64_t g) const { return members_[g]; }
  const Array<std::int64_t>& groups() const { return group_of_; }
  double value() const { return value_; }

  // What the value grows by when the two, of different groups, change places.
  double gain(std::int64_t a, std::int64_t b) const {
    return weight_to(group(b), a) - weight_to(group(a), a) + weight_to(group(a), b) - weight_to(group(b), b) -
           2 * graph_.between(a, b);
  }
  void swap(std::int64_t a, std::int64_t b, double gain) {
    const std::int64_t of_a = group(a), of_b = group(b);
    members_[of_a][place_[a]] = b;
    members_[of_b][place_[b]] = a;
    std::swap(place_[a], place_[b]);
    std::swap(group_of_[a], group_of_[b]);
    update(a, of_a, -1.0);
    update(a, of_b, 1.0);
    update(b, of_b, -1.0);
    update(b, of_a, 1.0);
    value_ += gain;
  }

 private:
  double weight_to(std::int64_t g, std::int64_t c) const { return weight_to_[g][c]; }
  void update(std::int64_t c, std::int64_t g, double sign) {
    Array<double>& weight_to = weight_to_[g];
    if (graph_.is_dense()) {
      const double* row = graph_.row(c);
      for (std::int64_t i = 0; i < weight_to.size(); ++i) weight_to[i] += sign * row[i];
      return;
    }
    for (std::int64_t e = graph_.begin(c); e < graph_.end(c); ++e) {
      weight_to[graph_.neighbor(e)] += sign * graph_.weight(e);
    }
  }

  const WeightGraph& graph_;
  Array<std::int64_t> group_of_;
  Array<std::int64_t> place_;  // of each class among its group's members
  Array<Array<std::int64_t>> members_;
  Array<Array<double>> weight_to_;  // (groups, n)
  double value_ = 0;
};

// A class, and a member of the group of one of its neighbours; false when the draw found none.
bool draw_swap(const WeightGraph& graph, const Grouping& grouping, Random& random, std::int64_t& a, std::int64_t& b) {
  a = random.below(graph.num_classes());
  const std::int64_t degree = graph.end(a) - graph.begin(a);
  if (degree == 0) return false;
  const std::int64_t near = graph.neighbor(graph.begin(a) + random.below(degree));
  if (grouping.group(near) == grouping.group(a)) return false;
  const auto& others = grouping.members(grouping.group(near));
  b = others[random.below(others.size())];
  return true;
}

// Work done so far, against what may be done: a unit is about a proposal that is turned down.
struct Budget {
  double spent = 0, limit = 0;
  bool is_left() const { return spent < limit; }
  double share() const { return spent / limit; }
};

// What swapping the two costs beside a look-up: their rows are walked along twice each.
double swap_cost(const WeightGraph& graph, std::int64_t a, std::int64_t b) {
  return static_cast<double>(graph.end(a) - graph.begin(a) + graph.end(b) - graph.begin(b)) / 32;
}

// Swaps that help, class by class, until a pass finds none or the budget is spent.
void descend(const WeightGraph& graph, Grouping& grouping, Budget budget, const Job& job) {
  for (bool improved = true; improved;) {
    improved = false;
    for (std::int64_t a = 0; a < graph.num_classes(); ++a) {
      for (std::int64_t b = a + 1; b < graph.num_classes(); ++b) {
        if (grouping.group(a) == grouping.group(b)) continue;
        const double gain = grouping.gain(a, b);
        if (gain <= 1e-9 * (1 + grouping.value())) continue;
        grouping.swap(a, b, gain);
        budget.spent += swap_cost(graph, a, b);
        improved = true;
      }
      budget.spent += static_cast<double>(graph.num_classes() - a) / 8;
      if (!budget.is_left() || job.is_stopped()) return;
    }
  }
}

}  // namespace

double weight_inside(const WeightGraph& graph, const Array<std::int64_t>& group_of) {
  double twice = 0;
  for (std::int64_t c = 0; c < graph.num_classes(); ++c) {
    for (std::int64_t e = graph.begin(c); e < graph.end(c); ++e) {
      if (group_of[graph.neighbor(e)] == group_of[c]) twice += graph.weight(e);
    }
  }
  return twice / 2;
}

Array<std::int64_t> extract_groups(const WeightGraph& graph, const Array<std::int64_t>& sizes, const Job& job) {
  const std::int64_t n = graph.num_classes();
  Array<std::int64_t> group_of(n, -1);
  const auto is_free = [&](std::int64_t c) { return group_of[c] < 0; };
  for (std::int64_t g = 0; g < sizes.size() && !job.is_stopped(); ++g) {
    // The heaviest pair that is left, then the class with the greatest weight to the group; ties go to the lower index.
    std::int64_t next = -1;
    double heaviest = -1;
    for (std::int64_t c = 0; c < n; ++c) {
      if (!is_free(c)) continue;
      if (next < 0) next = c;
      for (std::int64_t e = graph.begin(c); e < graph.end(c); ++e) {
        if (graph.weight(e) > heaviest && is_free(graph.neighbor(e))) {
          heaviest = graph.weight(e);
          next = c;
        }
      }
    }
    Array<double> gain(n, 0.0);
    for (std::int64_t taken = 0; taken < sizes[g]; ++taken) {
      if (taken > 0) {
        next = -1;
        for (std::int64_t c = 0; c < n; ++c) {
          if (is_free(c) && (next < 0 || gain[c] > gain[next])) next = c;
        }
      }
      group_of[next] = g;
      for (std::int64_t e = graph.begin(next); e < graph.end(next); ++e) {
        gain[graph.neighbor(e)] += graph.weight(e);
      }
    }
  }
  return group_of;
}

Array<std::int64_t> anneal_groups(const WeightGraph& graph, const Array<std::int64_t>& start, std::int64_t num_moves,
                                  std::uint64_t seed, const Job& job) {
  Grouping grouping(graph, start);
  Array<std::int64_t> best = start;
  const double start_value = grouping.value();
  double best_value = start_value;
  Random random(seed);
  // From half of what a class has inside its group, on average, to a fiftieth of that.
  const double scale =
      std::max(2 * best_value / static_cast<double>(graph.num_classes()), std::numeric_limits<double>::min());
  double temperature = 0.5 * scale;
  const Budget whole{0, static_cast<double>(num_moves)};
  Budget budget = whole;
  for (std::int64_t move = 0; budget.is_left(); ++move) {
    if (move % 256 == 0) {
      if (job.is_stopped()) break;
      temperature = 0.5 * scale * std::pow(0.04, budget.share());
    }
    budget.spent += 1;
    std::int64_t a = 0, b = 0;
    if (!draw_swap(graph, grouping, random, a, b)) continue;
    const double gain = grouping.gain(a, b);
    if (gain < 0 && random.uniform() >= std::exp(gain / temperature)) continue;
    grouping.swap(a, b, gain);
    budget.spent += swap_cost(graph, a, b);
    // Kept from the last tenth on only: before, it would be copied at nearly every move.
    if (grouping.value() > best_value && budget.share() > 0.9) {
      best = grouping.groups();
      best_value = grouping.value();
    }
  }
  Grouping polished(graph, best);
  descend(graph, polished, whole, job);
  // Sums that were kept up to date are a little off where weights are no whole numbers.
  return weight_inside(graph, polished.groups()) >= start_value ? polished.groups() : start;
}

}  // namespace rescale_fast
