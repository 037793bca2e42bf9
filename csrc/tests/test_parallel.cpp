#include <doctest/doctest.h>

#include <atomic>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "core/parallel.h"
#include "core/watched.h"

using namespace rescale_fast;

TEST_CASE("ranges cover every item once, in order of thread, for any counts") {
  for (const int threads : {1, 2, 3, 7, 16}) {
    for (const std::int64_t items : {0, 1, 2, 3, 15, 16, 17, 101}) {
      std::vector<std::atomic<int>> visits(static_cast<std::size_t>(items));
      std::vector<std::int64_t> begins(static_cast<std::size_t>(threads), -1);
      parallel_ranges(items, threads, [&](int thread, std::int64_t begin, std::int64_t end) {
        begins[static_cast<std::size_t>(thread)] = begin;
        for (std::int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
      });
      for (const auto& count : visits) CHECK(count == 1);
      for (std::size_t t = 1; t < begins.size() && begins[t] >= 0; ++t) CHECK(begins[t - 1] <= begins[t]);
    }
  }
}

TEST_CASE("an exception of any range reaches the caller once all others have ended") {
  for (std::int64_t bad = 0; bad < 5; ++bad) {
    std::atomic<int> ended{0};
    const auto run = [&] {
      parallel_ranges(5, 5, [&](int, std::int64_t begin, std::int64_t) {
        if (begin == bad) throw std::runtime_error("range");
        ++ended;
      });
    };
    CHECK_THROWS_WITH_AS(run(), "range", std::runtime_error);
    CHECK(ended == 4);
  }
}

TEST_CASE("watched work is stopped when poll says so, and is waited for") {
  std::atomic<bool> stopped{false};
  std::atomic<int> inside{0};
  const auto work = [&](int) {
    ++inside;
    while (!stopped) std::this_thread::yield();
    --inside;
  };
  CHECK_FALSE(run_watched(
      3, work, [&] { stopped = true; }, [] { return false; }));
  CHECK(inside == 0);
}

TEST_CASE("what a watched worker or poll throws stops the others and reaches the caller") {
  for (const bool by_worker : {true, false}) {
    std::atomic<bool> stopped{false};
    const auto work = [&](int thread) {
      if (by_worker && thread == 1) throw std::runtime_error("failed");
      while (!stopped) std::this_thread::yield();
    };
    const auto poll = [&]() -> bool { return by_worker ? true : throw std::runtime_error("failed"); };
    const auto run = [&] {
      run_watched(
          4, work, [&] { stopped = true; }, poll);
    };
    CHECK_THROWS_WITH_AS(run(), "failed", std::runtime_error);
    CHECK(stopped);
  }
}
