#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/job.h"

using namespace rescale_fast;

namespace {

constexpr int kThreads[] = {1, 2, 3, 7, 16};
constexpr std::int64_t kItems[] = {0, 1, 2, 3, 15, 16, 17, 101};

using Visits = std::vector<std::atomic<int>>;

}  // namespace

TEST_CASE("ranges cover every item once, in order of thread, for any counts") {
  for (const int threads : kThreads) {
    for (const std::int64_t items : kItems) {
      Visits visits(static_cast<std::size_t>(items));
      std::vector<std::int64_t> begins(static_cast<std::size_t>(threads), -1);
      Job(threads).for_ranges(items, [&](int thread, std::int64_t begin, std::int64_t end) {
        begins[static_cast<std::size_t>(thread)] = begin;
        for (std::int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
      });
      for (const auto& count : visits) CHECK(count == 1);
      for (std::size_t t = 1; t < begins.size() && begins[t] >= 0; ++t) CHECK(begins[t - 1] < begins[t]);
    }
  }
}

TEST_CASE("each item is taken once, by workers of which each thread has one") {
  for (const int threads : kThreads) {
    for (const std::int64_t items : kItems) {
      Job job(threads);
      Visits visits(static_cast<std::size_t>(items));
      std::atomic<int> workers{0};
      job.for_each(items, [&] {
        ++workers;
        return [&, own = std::int64_t{-1}](std::int64_t i) mutable {
          CHECK(own < i);  // in order
          own = i;
          ++visits[static_cast<std::size_t>(i)];
          job.advance(2);
        };
      });
      for (const auto& count : visits) CHECK(count == 1);
      CHECK(workers <= job.threads_for(items));
      CHECK(job.done() == 2 * items);
      CHECK_FALSE(job.is_stopped());
    }
  }
}

TEST_CASE("an exception of any thread stops the job and reaches the caller once all have ended") {
  for (int bad = 0; bad < 5; ++bad) {
    Job job(5);
    std::atomic<int> ended{0};
    const auto work = [&](int thread) {
      if (thread == bad) throw std::runtime_error("failed");
      while (!job.is_stopped()) std::this_thread::yield();
      ++ended;
    };
    CHECK_THROWS_WITH_AS(job.run(5, work), "failed", std::runtime_error);
    CHECK(ended == 4);
  }
}

TEST_CASE("a job that is stopped takes no further items, and is waited for") {
  for (const int threads : kThreads) {
    Job job(threads);
    std::atomic<int> inside{0}, visits{0};
    std::thread other([&] {
      while (visits < 50) std::this_thread::yield();
      job.stop();
    });
    job.for_each(std::int64_t{1} << 60, [&] {
      return [&](std::int64_t) {
        ++inside;
        ++visits;
        --inside;
      };
    });
    other.join();
    CHECK(inside == 0);
    const int before = visits;
    job.for_each(10, [&] { return [&](std::int64_t) { ++visits; }; });
    CHECK(visits == before);
  }
}

TEST_CASE("as many threads as the machine has, when none are named") {
  CHECK(Job(0).num_threads() >= 1);
  CHECK(Job(-3).num_threads() == Job(0).num_threads());
  CHECK(Job(4).threads_for(3) == 3);
  CHECK(Job(4).threads_for(0) == 1);
  CHECK(Job(4).threads_for(std::int64_t{1} << 40) == 4);
}

TEST_CASE("Who sleeps wakes up when the job is stopped, and not before its time otherwise") {
  Job job(2);
  CHECK(job.sleep(0.001));
  std::thread stopper([&] { job.stop(); });
  CHECK_FALSE(job.sleep(600));
  stopper.join();
  CHECK_FALSE(job.sleep(600));
}
