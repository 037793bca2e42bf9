// Pauses before the operating system is asked again for a file that it did not give.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "core/job.h"

namespace rescale_fast {

class Patience {
 public:
  Patience(std::vector<double> seconds, Job& job) : seconds_(std::move(seconds)), job_(job) {}

  // Sits out the pause after the refusal of this number, from 0. Returns whether to ask again: not after the last pause
  // nor once the job was stopped, which also ends every pause. Each thread waits for itself.
  bool wait(std::size_t refusal) { return refusal < seconds_.size() && job_.sleep(seconds_[refusal]); }

 private:
  const std::vector<double> seconds_;
  Job& job_;
};

}  // namespace rescale_fast
