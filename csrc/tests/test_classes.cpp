#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "classes/bound.h"
#include "classes/confusion.h"
#include "classes/greedy.h"
#include "classes/grouping.h"
#include "classes/search.h"
#include "classes/selection.h"
#include "core/array.h"

using namespace rescale_fast;

namespace {

using Matrix = Array<Array<double>>;
using Classes = Array<std::int64_t>;

WeightGraph graph_of(const Matrix& matrix) {
  Array<std::int64_t> offsets{0};
  Array<std::int32_t> neighbors;
  Array<double> weights;
  for (const auto& row : matrix) {
    for (std::int64_t j = 0; j < row.size(); ++j) {
      if (row[j] == 0) continue;
      neighbors.push_back(static_cast<std::int32_t>(j));
      weights.push_back(row[j]);
    }
    offsets.push_back(neighbors.size());
  }
  return {offsets, neighbors, weights};
}

// Whole weights of 1..9 in about `share` of the pairs.
Matrix random_matrix(std::int64_t n, double share, std::uint64_t seed) {
  Matrix matrix(n, Array<double>(n, 0));
  Random random(seed);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < i; ++j) {
      if (random.uniform() < share) matrix[i][j] = matrix[j][i] = static_cast<double>(1 + random.below(9));
    }
  }
  return matrix;
}

double value_of(const Matrix& matrix, unsigned set) {
  double sum = 0;
  for (std::int64_t i = 0; i < matrix.size(); ++i) {
    for (std::int64_t j = 0; j < i; ++j) {
      if ((set >> i & 1) && (set >> j & 1)) sum += matrix[i][j];
    }
  }
  return sum;
}

int size_of(unsigned set) {
  int size = 0;
  for (; set != 0; set &= set - 1) ++size;
  return size;
}

// By trying every set.
double best_of_size(const Matrix& matrix, int k) {
  double best = 0;
  for (unsigned set = 0; set < 1U << matrix.size(); ++set) {
    if (size_of(set) == k) best = std::max(best, value_of(matrix, set));
  }
  return best;
}

}  // namespace

TEST_CASE("searches find the heaviest set of a small graph, sparse or dense, whatever the threads") {
  for (const double share : {0.15, 0.8}) {
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      const Matrix matrix = random_matrix(12, share, seed);
      const WeightGraph graph = graph_of(matrix);
      for (const int k : {2, 5, 9, 12}) {
        Classes first;
        for (const int threads : {1, 3}) {
          Job job(threads);
          SearchWatch watch(job, std::numeric_limits<double>::infinity());
          const SearchResult found = search_class_subset(graph, k, {}, {4, 20'000, 1.0, seed}, watch);
          CHECK(found.value == best_of_size(matrix, k));
          CHECK(std::is_sorted(found.classes.begin(), found.classes.end()));
          if (threads == 1) first = found.classes;
          CHECK(found.classes == first);
        }
      }
    }
  }
}

TEST_CASE("a search that meets its target ends with it") {
  const Matrix matrix = random_matrix(12, 0.8, 7);
  Job job(2);
  SearchWatch watch(job, best_of_size(matrix, 4));
  const auto unending = std::int64_t{1} << 60;
  const SearchResult found = search_class_subset(graph_of(matrix), 4, {}, {2, unending, 1.0, 0}, watch);
  CHECK(found.value == best_of_size(matrix, 4));
}

TEST_CASE("a search that is stopped gives the best of its starts, at least") {
  Job job(2);
  job.stop();
  SearchWatch watch(job, std::numeric_limits<double>::infinity());
  const WeightGraph graph = graph_of(random_matrix(12, 0.3, 7));
  const SearchResult found = search_class_subset(graph, 3, {{4, 1, 7}}, {2, 1000, 1.0, 0}, watch);
  CHECK(found.classes == Classes{1, 4, 7});
  CHECK(found.value == graph.value(found.classes));
}

TEST_CASE("greedy, its many starts and peeling choose what they choose by hand") {
  // 0-1 is the heaviest pair; 2, 3, 4 are a heavier triple; 5 is alone.
  Matrix matrix(6, Array<double>(6, 0));
  const auto join = [&](std::int64_t a, std::int64_t b, double weight) { matrix[a][b] = matrix[b][a] = weight; };
  join(0, 1, 9);
  join(2, 3, 8);
  join(2, 4, 7);
  join(3, 4, 6);
  join(1, 2, 1);
  const WeightGraph graph = graph_of(matrix);
  CHECK(greedy_class_subset(graph, 3) == Classes{0, 1, 2});
  CHECK(greedy_class_subset(graph, 4) == Classes{0, 1, 2, 3});
  Job two(2);
  CHECK(greedy_from_many_starts(graph, 3, 6, two) == Classes{2, 3, 4});
  CHECK(peel_class_subset(graph, 3, Job()) == Classes{2, 3, 4});
}

TEST_CASE("loads bound every set of every size, and the largest is the density of the densest subgraph") {
  for (const double share : {0.25, 0.7}) {
    for (std::uint64_t seed = 10; seed < 14; ++seed) {
      const Matrix matrix = random_matrix(11, share, seed);
      EvenLoads even = even_loads(graph_of(matrix), std::int64_t{1} << 32, Job());
      std::sort(even.loads.rbegin(), even.loads.rend());
      double density = 0, bound = 0;
      for (int k = 1; k <= 11; ++k) {
        bound += std::ldexp(static_cast<double>(even.loads[k - 1]), -even.fraction_bits);
        const double best = best_of_size(matrix, k);
        CHECK(bound >= best);
        density = std::max(density, best / k);
      }
      CHECK(std::ldexp(static_cast<double>(even.loads[0]), -even.fraction_bits) == doctest::Approx(density));
    }
  }
}

TEST_CASE("shares of a pair add up to its weight, entry by entry") {
  const WeightGraph graph = graph_of(random_matrix(9, 0.5, 3));
  const EvenLoads even = even_loads(graph, 1000, Job());
  for (std::int64_t c = 0; c < graph.num_classes(); ++c) {
    std::int64_t load = 0;
    for (std::int64_t e = graph.begin(c); e < graph.end(c); ++e) {
      load += even.shares[e];
      std::int64_t back = graph.begin(graph.neighbor(e));
      while (graph.neighbor(back) != c) ++back;
      const auto whole = even.shares[e] + even.shares[back];
      CHECK(std::ldexp(static_cast<double>(whole), -even.fraction_bits) == graph.weight(e));
    }
    CHECK(load == even.loads[c]);
  }
}

TEST_CASE("a selection that changes keeps the value and the gains of one made anew") {
  for (const double share : {0.1, 0.9}) {
    const WeightGraph graph = graph_of(random_matrix(20, share, 8));
    Selection selection(graph, {3, 4, 5});
    Random random(9);
    for (int step = 0; step < 500; ++step) {
      const std::int64_t c = random.below(20);
      selection.has(c) ? selection.drop(c) : selection.add(c);
      const Selection anew(graph, selection.members());
      CHECK(selection.value() == anew.value());
      CHECK(selection.value() == graph.value(selection.members()));
      CHECK(selection.gain(c) == anew.gain(c));
    }
  }
}

TEST_CASE("grouping finds the best split of six classes into threes") {
  for (std::uint64_t seed = 20; seed < 26; ++seed) {
    const Matrix matrix = random_matrix(6, 0.7, seed);
    const WeightGraph graph = graph_of(matrix);
    double best = 0;
    for (unsigned set = 0; set < 64; ++set) {
      if (size_of(set) == 3) best = std::max(best, value_of(matrix, set) + value_of(matrix, 63 & ~set));
    }
    const Classes start = extract_groups(graph, {3, 3}, Job());
    CHECK(std::count(start.begin(), start.end(), 0) == 3);
    const Classes groups = anneal_groups(graph, start, 20'000, seed, Job());
    CHECK(std::count(groups.begin(), groups.end(), 0) == 3);
    CHECK(weight_inside(graph, groups) == best);
  }
}

TEST_CASE("confusion counts and sums are those of a plain loop, whatever the threads") {
  constexpr std::int64_t kImages = 1009, kClasses = 5, kTop = 2;
  Random random(30);
  Array<std::int64_t> labels, ids;
  Array<double> probabilities;
  for (std::int64_t i = 0; i < kImages; ++i) labels.push_back(random.below(kClasses));
  for (std::int64_t i = 0; i < kImages * kTop; ++i) {
    ids.push_back(random.below(kClasses));
    probabilities.push_back(static_cast<double>(random.below(1 << 20)) * 0x1.0p-20);
  }
  Array<std::int64_t> counts(kClasses * kClasses, -1), expected(kClasses * kClasses, 0);
  Array<double> sums(kClasses * kClasses, -1), expected_sums(kClasses * kClasses, 0);
  for (std::int64_t i = 0; i < kImages; ++i) {
    ++expected[labels[i] * kClasses + ids[i]];
    for (std::int64_t j = i * kTop; j < (i + 1) * kTop; ++j) {
      expected_sums[labels[i] * kClasses + ids[j]] += probabilities[j];
    }
  }
  for (const int threads : {1, 2, 7}) {
    Job job(threads);
    count_confusion(labels.data(), ids.data(), kImages, kClasses, job, counts.data());
    CHECK(counts == expected);
    sum_probabilities(labels.data(), ids.data(), probabilities.data(), kImages, kTop, kClasses, job, sums.data());
    CHECK(sums == expected_sums);
  }
}
