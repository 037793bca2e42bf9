// Pauses before the operating system is asked again for a file that it did not give.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

namespace rescale_fast {

class Patience {
 public:
  explicit Patience(std::vector<double> seconds) : seconds_(std::move(seconds)) {}

  // Sits out the pause after the refusal of this number, from 0. Returns whether to ask again: not after the last pause
  // nor once stop was called, which also ends every pause. Each thread waits for itself.
  bool wait(std::size_t refusal) {
    if (refusal >= seconds_.size()) return false;
    std::unique_lock<std::mutex> lock(mutex_);
    return !stopping_.wait_for(lock, std::chrono::duration<double>(seconds_[refusal]), [this] { return stopped_; });
  }

  void stop() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopped_ = true;
    }
    stopping_.notify_all();
  }

 private:
  const std::vector<double> seconds_;
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool stopped_ = false;
};

}  // namespace rescale_fast
