#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "core/job.h"
#include "core/memory_budget.h"

using namespace rescale_fast;

TEST_CASE("shares in use never exceed the limit, but for one that is alone") {
  constexpr std::int64_t kLimit = 100;
  MemoryBudget budget(kLimit);
  std::atomic<std::int64_t> used{0}, most{0};
  std::atomic<int> holders{0}, too_many{0};
  Job(6).run(6, [&](int thread) {
    for (int i = 0; i < 300; ++i) {
      const std::int64_t bytes = (thread * 37 + i * 13) % 60 + (i % 50 == 0 ? 200 : 1);
      const MemoryBudget::Share share(budget, bytes);
      const std::int64_t now = used += bytes;
      if (++holders > 1) {
        if (now > kLimit) ++too_many;
      } else {
        most = std::max<std::int64_t>(most, now);
      }
      --holders;
      used -= bytes;
    }
  });
  CHECK(too_many == 0);
  CHECK(most > 0);
}

TEST_CASE("a share waits for what it does not fit beside, and no longer") {
  MemoryBudget budget(100);
  std::atomic<bool> got{false};
  std::thread other;
  {
    const MemoryBudget::Share first(budget, 60);
    const MemoryBudget::Share beside(budget, 40);
    other = std::thread([&] {
      const MemoryBudget::Share share(budget, 41);
      got = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    CHECK_FALSE(got);
  }
  other.join();
  CHECK(got);
}

TEST_CASE("a share that failed work held is given back") {
  MemoryBudget budget(10);
  const auto fail = [&] {
    const MemoryBudget::Share share(budget, 10);
    throw 1;
  };
  CHECK_THROWS(fail());
  const MemoryBudget::Share again(budget, 10);  // would wait for ever
}
