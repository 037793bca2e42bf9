// One piece of work: its threads, how far it is, and whether it is still wanted.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>

namespace rescale_fast {

// The thread that asked for the work may look at done() and call stop() while another one does it. Work that was
// stopped returns soon, with what it has; what that is, is of no use unless a kernel says so.
class Job {
 public:
  explicit Job(int num_threads = 1);  // 0 means all cores that the machine reports

  int num_threads() const { return num_threads_; }
  std::int64_t done() const { return done_.load(std::memory_order_relaxed); }
  void advance(std::int64_t amount) { done_.fetch_add(amount, std::memory_order_relaxed); }
  bool is_stopped() const { return stopped_.load(std::memory_order_relaxed); }
  void stop();

  // Waits so long, or until the job is stopped. Returns whether it is still wanted.
  bool sleep(double seconds);

  // Calls work(0) .. work(count - 1), each on a thread of its own as far as the machine allows; the calling thread
  // takes the first, and those for which there is no thread behind it. When one throws, the job is stopped. Rethrows
  // the first exception once all have ended.
  void run(int count, const std::function<void(int)>& work);

  // Calls body(thread, begin, end) so that the ranges cover [0, num_items) once, in order of thread; as many as there
  // are threads or items, and at least one.
  void for_ranges(std::int64_t num_items, const std::function<void(int, std::int64_t, std::int64_t)>& body);

  // Calls make_worker() on each thread, and what that returned with one item after another of [0, num_items), in order,
  // until all have been taken or the job is stopped.
  template <typename MakeWorker>
  void for_each(std::int64_t num_items, const MakeWorker& make_worker) {
    std::atomic<std::int64_t> next{0};
    run(threads_for(num_items), [&](int) {
      if (is_stopped()) return;
      auto&& worker = make_worker();
      for (std::int64_t i; !is_stopped() && (i = next++) < num_items;) worker(i);
    });
  }

  // As many as there are threads or items, and at least one.
  int threads_for(std::int64_t num_items) const {
    return static_cast<int>(std::clamp<std::int64_t>(num_items, 1, num_threads_));
  }

 private:
  const int num_threads_;
  std::atomic<std::int64_t> done_{0};  // in units of the work's own
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;  // of those who sleep
  std::condition_variable stopping_;
};

}  // namespace rescale_fast
