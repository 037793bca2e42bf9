// Choices cross the border by name.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <utility>

#include "bind/bind.h"

namespace rescale_fast {

template <typename Enum, std::size_t kCount>
using Names = std::array<std::pair<const char*, Enum>, kCount>;

// Throws ValueError, which names the choices, for another name.
template <typename Enum, std::size_t kCount>
Enum choose(const char* what, const std::string& name, const Names<Enum, kCount>& names) {
  std::string choices;
  for (const auto& [known, value] : names) {
    if (name == known) return value;
    choices += (choices.empty() ? "" : ", ") + std::string(known);
  }
  throw py::value_error(message(what, " is '", name, "', expected one of ", choices));
}

}  // namespace rescale_fast
