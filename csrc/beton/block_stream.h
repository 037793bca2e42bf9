// Gathers bytes that come in order into blocks of a MiB, which are digested and written one by one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "beton/block_digest.h"

namespace rescale_fast {

struct Block {
  std::uint64_t number = 0;  // of the block in the file
  bool empty = true;         // whether it is all zeros; then it may come without memory
  std::vector<std::uint8_t> bytes;
};

class BlockStream {
 public:
  explicit BlockStream(std::uint64_t start) : at_(start) {}  // offset in the file, a multiple of kDigestBlock

  // Puts bytes at `offset`, zeros before it, and moves the blocks that are full behind those in `full`.
  void add(std::uint64_t offset, const std::uint8_t* data, std::size_t size, std::vector<Block>& full) {
    skip_to(offset, full);
    while (size > 0) {
      const std::size_t part = std::min(size, room());
      std::memcpy(current().bytes.data() + at_ % kDigestBlock, data, part);
      block_.empty = false;
      data += part;
      size -= part;
      advance(part, full);
    }
  }

  void skip_to(std::uint64_t offset, std::vector<Block>& full) {
    while (at_ < offset) {
      if (at_ % kDigestBlock == 0 && offset - at_ >= kDigestBlock) {
        full.push_back({at_ / kDigestBlock, true, {}});
        at_ += kDigestBlock;
        continue;
      }
      const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(room(), offset - at_));
      std::memset(current().bytes.data() + at_ % kDigestBlock, 0, part);
      advance(part, full);
    }
  }

  // Takes back the memory of a block that has been written.
  void reuse(Block block) {
    if (!block.bytes.empty()) spare_.push_back(std::move(block.bytes));
  }

 private:
  std::size_t room() const { return static_cast<std::size_t>(kDigestBlock - at_ % kDigestBlock); }

  Block& current() {
    if (block_.bytes.empty()) {
      block_.number = at_ / kDigestBlock;
      block_.empty = true;
      if (spare_.empty()) {
        block_.bytes.resize(kDigestBlock);
      } else {
        block_.bytes = std::move(spare_.back());
        spare_.pop_back();
      }
    }
    return block_;
  }

  void advance(std::size_t size, std::vector<Block>& full) {
    at_ += size;
    if (at_ % kDigestBlock == 0) {
      full.push_back(std::move(block_));
      block_ = Block{};
    }
  }

  std::uint64_t at_;
  Block block_;  // the one that is being filled; without memory before its first byte
  std::vector<std::vector<std::uint8_t>> spare_;
};

}  // namespace rescale_fast
