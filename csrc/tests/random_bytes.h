// The same bytes and numbers in every run.
#pragma once

#include <cstdint>
#include <vector>

#include "classes/selection.h"

namespace rescale_fast {

inline std::vector<std::uint8_t> random_bytes(std::size_t size, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::uint8_t> bytes(size);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.below(256));
  return bytes;
}

}  // namespace rescale_fast
