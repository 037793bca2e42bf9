// Thread starts and allocations fail, one after another: the work is done all the same, or an exception says why not.
#include <array>

#include <unistd.h>

#include "core/parallel.h"
#include "core/watched.h"
#include "faults.h"

using namespace rescale_fast;

namespace {

constexpr int kThreads = 5, kItems = 1003;

void try_ranges(long trial) {
  std::array<std::atomic<int>, kItems> visits{};
  bool finished = false;
  try {
    parallel_ranges(kItems, kThreads, [&](int, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
    });
    finished = true;
  } catch (const std::bad_alloc&) {
  }
  for (const std::atomic<int>& count : visits) faults::expect(!finished || count == 1, "parallel_ranges", trial);
}

// Workers take items until there are none, or one of them is told to fail.
void try_watched(long trial, bool worker_throws, bool poll_throws) {
  std::atomic<int> next{0}, done{0};
  std::atomic<bool> stopped{false};
  bool finished = false;
  const auto work = [&](int) {
    while (!stopped && next++ < kItems) {
      if (worker_throws && done == kItems / 2) throw 1;
      ++done;
      if (poll_throws) usleep(100);
    }
  };
  const auto poll = [&]() -> bool {
    if (poll_throws) throw 2;
    return true;
  };
  try {
    finished = run_watched(
        kThreads, work, [&] { stopped = true; }, poll);
  } catch (const std::exception&) {
  } catch (int) {
  }
  faults::expect(finished ? done == kItems && !worker_throws : worker_throws || poll_throws || done == 0, "run_watched",
                 trial);
}

}  // namespace

int main() {  // NOLINT(bugprone-exception-escape): what escapes is a failure of the test
  alarm(60);  // ends a program that waits for ever
  for (std::atomic<long>* left : {&faults::starts_left, &faults::allocations_left}) {
    faults::fail_each(*left, try_ranges);
    for (const bool worker_throws : {false, true}) {
      for (const bool poll_throws : {false, true}) {
        faults::fail_each(*left, [&](long trial) { try_watched(trial, worker_throws, poll_throws); });
      }
    }
  }
  std::puts("fine");
}
