// Thread starts and allocations fail, one after another: the work is done all the same, or an exception says why not.
#include <array>
#include <stdexcept>
#include <vector>

#include <unistd.h>

#include "core/job.h"
#include "faults.h"

using namespace rescale_fast;

namespace {

constexpr int kThreads = 5, kItems = 1003;

void try_ranges(long trial) {
  std::array<std::atomic<int>, kItems> visits{};
  bool finished = false;
  try {
    Job(kThreads).for_ranges(kItems, [&](int, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
    });
    finished = true;
  } catch (const std::bad_alloc&) {
  }
  for (const std::atomic<int>& count : visits) faults::expect(!finished || count == 1, "for_ranges", trial);
}

// Workers take items until there are none, or one of them fails.
void try_each(long trial, bool throws) {
  Job job(kThreads);
  bool finished = false;
  try {
    job.for_each(kItems, [&] {
      return [&, own = std::vector<int>(10)](std::int64_t) {
        if (throws && job.done() >= kItems / 2) throw std::logic_error("told to");
        job.advance(1);
      };
    });
    finished = true;
  } catch (const std::exception&) {
  }
  faults::expect(finished ? job.done() == kItems && !throws : job.is_stopped() || job.done() == 0, "for_each", trial);
}

}  // namespace

int main() {  // NOLINT(bugprone-exception-escape): what escapes is a failure of the test
  alarm(60);  // ends a program that waits for ever
  for (std::atomic<long>* left : {&faults::starts_left, &faults::allocations_left}) {
    faults::fail_each(*left, try_ranges);
    for (const bool throws : {false, true}) {
      faults::fail_each(*left, [&](long trial) { try_each(trial, throws); });
    }
  }
  std::puts("fine");
}
