// Bounds how much memory threads use for large things at once.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace rescale_fast {

// Holding a share waits until the shares in use fit in the limit; one that is larger than the limit waits to be alone.
class MemoryBudget {
 public:
  explicit MemoryBudget(std::int64_t limit) : limit_(limit) {}

  class Share {
   public:
    Share(MemoryBudget& budget, std::int64_t bytes) : budget_(budget), bytes_(bytes) {
      std::unique_lock<std::mutex> lock(budget_.mutex_);
      budget_.freed_.wait(lock, [&] { return budget_.used_ == 0 || budget_.used_ + bytes_ <= budget_.limit_; });
      budget_.used_ += bytes_;
    }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() {
      {
        const std::lock_guard<std::mutex> lock(budget_.mutex_);
        budget_.used_ -= bytes_;
      }
      budget_.freed_.notify_all();
    }

   private:
    MemoryBudget& budget_;
    const std::int64_t bytes_;
  };

 private:
  const std::int64_t limit_;  // bytes
  std::mutex mutex_;
  std::condition_variable freed_;
  std::int64_t used_ = 0;
};

}  // namespace rescale_fast
