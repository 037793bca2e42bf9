// A std::vector that is counted with signed integers, as classes, images and entries are everywhere in csrc.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

namespace rescale_fast {

// Sizes and indices are std::int64_t, so that no expression mixes signs. An index outside is an assertion that fails in
// debug builds, which those with sanitizers are; in release builds, indexing costs what it costs in a plain array.
// Adds nothing to what a vector holds, so either can be taken for the other.
template <typename T>
class Array : public std::vector<T> {
  using Vector = std::vector<T>;

 public:
  Array() = default;
  explicit Array(std::int64_t size, const T& value = T()) : Vector(to_size(size), value) {}
  Array(std::initializer_list<T> values) : Vector(values) {}
  Array(const T* begin, const T* end) : Vector(begin, end) {}
  Array(Vector vector) : Vector(std::move(vector)) {}  // NOLINT(google-explicit-constructor)

  std::int64_t size() const { return static_cast<std::int64_t>(Vector::size()); }
  void resize(std::int64_t size, const T& value = T()) { Vector::resize(to_size(size), value); }
  void reserve(std::int64_t size) { Vector::reserve(to_size(size)); }
  void assign(std::int64_t size, const T& value) { Vector::assign(to_size(size), value); }

  T& operator[](std::int64_t i) {
    assert(i >= 0 && i < size());
    return Vector::data()[i];
  }
  const T& operator[](std::int64_t i) const {
    assert(i >= 0 && i < size());
    return Vector::data()[i];
  }

 private:
  static std::size_t to_size(std::int64_t size) {
    assert(size >= 0);
    return static_cast<std::size_t>(size);
  }
};

}  // namespace rescale_fast
