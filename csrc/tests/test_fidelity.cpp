#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "classes/fidelity.h"
#include "classes/selection.h"

using namespace rescale_fast;

namespace {

using Classes = std::vector<std::int64_t>;
constexpr double kNoTarget = std::numeric_limits<double>::infinity();

FidelityModel random_model(std::size_t n, std::size_t rank, std::uint64_t seed) {
  Random random(seed);
  std::vector<double> loadings(n), specific(n), residuals(n * rank);
  for (double& one : loadings) one = random.uniform() - 0.2;
  for (double& one : specific) one = random.uniform();
  for (double& one : residuals) one = random.uniform() - 0.5;
  return {loadings, specific, residuals};
}

// Weight 1 between neighbours in a ring.
WeightGraph ring(std::int64_t n) {
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> neighbors;
  for (std::int64_t c = 0; c < n; ++c) {
    const auto a = static_cast<std::int32_t>((c + 1) % n), b = static_cast<std::int32_t>((c + n - 1) % n);
    neighbors.insert(neighbors.end(), {std::min(a, b), std::max(a, b)});
    offsets.push_back(static_cast<std::int64_t>(neighbors.size()));
  }
  return {offsets, neighbors, std::vector<double>(neighbors.size(), 1.0)};
}

Classes members(unsigned set) {
  Classes classes;
  for (std::int64_t c = 0; c < 32; ++c) {
    if (set >> c & 1) classes.push_back(c);
  }
  return classes;
}

// By trying every set.
double best_of_size(const FidelityAim& aim, std::size_t k) {
  double best = -kNoTarget;
  for (unsigned set = 0; set < 1U << aim.model.num_classes(); ++set) {
    const Classes classes = members(set);
    if (classes.size() == k) best = std::max(best, aim.value(classes));
  }
  return best;
}

}  // namespace

TEST_CASE("fidelity is what its formula says, by hand") {
  const FidelityModel model({1, 2, 1}, {0.5, 1, 0.5}, {1, 0, -1});
  // Classes 0 and 1: load 3 of 4, residual 1, specific 1.5 (1 - 1.5) + 0.5625 * 2 = 0.375.
  CHECK(model.fidelity({0, 1}) == doctest::Approx(9 / (9 + 1 + 0.375)));
  CHECK(model.fidelity({0, 1, 2}) == doctest::Approx(1));  // all of them: nothing is left to deviate
  const FidelityModel opposed({-1, 3}, {0, 0}, {1, 1});
  CHECK(opposed.fidelity({0}) == doctest::Approx(-0.5));  // turns the order round
}

TEST_CASE("the search finds the best set of a small model, with and without confusion, whatever the threads") {
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    const FidelityModel model = random_model(12, 3, seed);
    const WeightGraph graph = ring(12);
    for (const double confusion : {0.0, 0.1}) {
      const FidelityAim aim{model, graph, 1.0, confusion};
      for (const std::int64_t k : {1, 4, 9, 12}) {
        Classes first;
        for (const int threads : {1, 2, 5}) {
          Job job(threads);
          SearchWatch watch(job, kNoTarget);
          const SearchResult found = search_fidelity(aim, k, {}, {5, 3000, seed}, watch);
          CHECK(found.value == doctest::Approx(best_of_size(aim, static_cast<std::size_t>(k))));
          CHECK(found.value == doctest::Approx(aim.value(found.classes)));
          CHECK(std::is_sorted(found.classes.begin(), found.classes.end()));
          if (first.empty()) first = found.classes;
          CHECK(found.classes == first);
        }
      }
    }
  }
}

TEST_CASE("the search is never worse than its starts, and a stopped one gives them") {
  const FidelityModel model = random_model(60, 4, 7);
  const WeightGraph graph = ring(60);
  const FidelityAim aim{model, graph, 1.0, 0.0};
  Job job(2);
  SearchWatch watch(job, kNoTarget);
  const SearchResult good = search_fidelity(aim, 10, {}, {4, 20000, 1}, watch);
  CHECK(job.done() == 4 * 20000);
  Job second(2);
  SearchWatch again(second, kNoTarget);
  CHECK(search_fidelity(aim, 10, {good.classes}, {2, 10, 2}, again).value >= good.value);
  Job stopped(2);
  stopped.stop();
  SearchWatch at_once(stopped, kNoTarget);
  CHECK(search_fidelity(aim, 10, {good.classes}, {2, 1000000, 2}, at_once).classes == good.classes);
}
