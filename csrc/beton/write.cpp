#include "beton/write.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "beton/block_stream.h"
#include "beton/placer.h"
#include "core/file_io.h"

namespace rescale_fast {
namespace {

constexpr std::size_t kMaxHeld = std::size_t{64} << 20;  // bytes of finished payloads that wait for their turn

class Writer {
 public:
  Writer(int fd, std::int64_t count, std::uint64_t start, const ImageOptions& options, bool stop_at_bad, Job& job)
      : fd_(fd),
        count_(count),
        stop_at_bad_(stop_at_bad),
        job_(job),
        start_(start),
        page_size_(options.page_size),
        placer_(start, options.page_size),
        stream_(start),
        waiting_(8 * job.num_threads() + 8) {
    result_.samples.resize(count);
  }

  // The next image to work on, or -1 when there is nothing more to do.
  std::int64_t take() {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto is_over = [&] { return ended_ || taken_ >= count_ || job_.is_stopped(); };
    const auto may_start = [&] {
      const bool room = taken_ < next_ + waiting_.size();
      return is_over() || (room && (held_ < kMaxHeld || taken_ == next_));
    };
    while (
        !changed_.wait_for(lock, std::chrono::milliseconds(30), may_start)) {  // nobody tells that the job is stopped
    }
    return is_over() ? -1 : taken_++;
  }

  // Takes a finished image, and writes the blocks that are full with all whose turn has come.
  void give(std::int64_t index, Payload payload) {
    std::vector<Block> full;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      held_ += payload.bytes.size();
      slot(index) = Slot{true, std::move(payload)};
      while (!ended_ && next_ < taken_ && slot(next_).full) {
        const Slot one = std::exchange(slot(next_), Slot{});
        settle(next_, one.payload, full);
        held_ -= one.payload.bytes.size();
        ++next_;
        job_.advance(1);
      }
    }
    changed_.notify_all();
    write(std::move(full));
  }

  // Fills the last page with zeros.
  Written finish() {
    std::vector<Block> full;
    stream_.skip_to((placer_.end() + page_size_ - 1) / page_size_ * page_size_, full);
    write(std::move(full));
    return std::move(result_);
  }

 private:
  struct Slot {
    bool full = false;
    Payload payload;
  };

  Slot& slot(std::int64_t index) { return waiting_[index % waiting_.size()]; }

  void settle(std::int64_t index, const Payload& payload, std::vector<Block>& full) {
    Stored& stored = result_.samples[index];
    stored.how = payload.how;
    if (payload.how == How::bad) {
      result_.reasons.emplace(index, payload.reason);
      ended_ = ended_ || stop_at_bad_;
      return;
    }
    stored.pointer = placer_.place(payload.bytes.size());
    stored.size = static_cast<std::uint32_t>(payload.bytes.size());
    stored.width = static_cast<std::uint16_t>(payload.width);
    stored.height = static_cast<std::uint16_t>(payload.height);
    stored.raw = payload.raw;
    // A copy, so that the file is written in whole blocks, which costs the system half as much as odd pieces.
    stream_.add(stored.pointer, payload.bytes.data(), payload.bytes.size(), full);
  }

  void write(std::vector<Block> full) {
    static const Digest zeros = digest_bytes(std::vector<std::uint8_t>(kDigestBlock).data(), kDigestBlock);
    for (Block& block : full) {
      const Digest digest = block.empty ? zeros : digest_bytes(block.bytes.data(), block.bytes.size());
      const std::uint64_t at = block.number * kDigestBlock;
      if (!block.empty) {
        write_at(fd_, block.bytes.data(), block.bytes.size(), at);
        start_writeback(fd_, at, block.bytes.size());
      }
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto number = static_cast<std::int64_t>(block.number - start_ / kDigestBlock);
      result_.blocks.resize(std::max(result_.blocks.size(), number + 1));
      result_.blocks[number] = digest;
      stream_.reuse(std::move(block));
    }
  }

  const int fd_;
  const std::int64_t count_;
  const bool stop_at_bad_;
  Job& job_;
  const std::uint64_t start_, page_size_;
  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  Placer placer_;
  BlockStream stream_;
  Array<Slot> waiting_;  // finished images from next_ on, each at its index modulo the size
  std::int64_t taken_ = 0, next_ = 0;
  std::size_t held_ = 0;
  bool ended_ = false;  // at an image that cannot be stored
  Written result_;
};

}  // namespace

Written write_images(int fd, const std::string& root, const Array<const char*>& paths, std::uint64_t start,
                     const ImageOptions& options, bool stop_at_bad, Patience& patience, const Fallback& fallback,
                     Job& job) {
  const std::int64_t count = paths.size();
  Writer writer(fd, count, start, options, stop_at_bad, job);
  job.run(job.threads_for(count), [&](int) {
    for (std::int64_t index; (index = writer.take()) >= 0;) {
      const std::string path = root + paths[index];
      writer.give(index, make_payload(index, path, options, patience, fallback));
    }
  });
  return job.is_stopped() ? Written{} : writer.finish();
}

}  // namespace rescale_fast
