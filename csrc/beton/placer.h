// Where the payloads of a beton lie.
#pragma once

#include <cstdint>

namespace rescale_fast {

// Gives places: one after another, none across a page.
class Placer {
 public:
  Placer(std::uint64_t start, std::uint64_t page_size) : end_(start), page_size_(page_size) {}
  // Precondition: 0 < size <= page_size.
  std::uint64_t place(std::uint64_t size) {
    if (end_ / page_size_ != (end_ + size - 1) / page_size_) end_ = (end_ / page_size_ + 1) * page_size_;
    const std::uint64_t at = end_;
    end_ += size;
    return at;
  }
  std::uint64_t end() const { return end_; }

 private:
  std::uint64_t end_, page_size_;
};

}  // namespace rescale_fast
