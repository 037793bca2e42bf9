// The same bytes and numbers in every run.
#pragma once

#include <cstdint>

#include "classes/selection.h"
#include "core/array.h"

namespace rescale_fast {

inline Array<std::uint8_t> random_bytes(std::int64_t size, std::uint64_t seed) {
  Random random(seed);
  Array<std::uint8_t> bytes(size);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.below(256));
  return bytes;
}

}  // namespace rescale_fast
