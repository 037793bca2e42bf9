#include "beton_write.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "beton_file.h"
#include "parallel.h"

namespace rescale_fast {
namespace {

constexpr std::size_t kMaxHeld = std::size_t{64} << 20;  // bytes of finished payloads that wait for their turn

class Writer {
 public:
  Writer(int fd, std::int64_t count, std::uint64_t start, const ImageOptions& options, bool stop_at_bad, int num_threads,
         std::atomic<std::int64_t>& done)
      : fd_(fd), count_(count), stop_at_bad_(stop_at_bad), done_(done), page_size_(options.page_size),
        placer_(start, options.page_size), digests_(start), waiting_(static_cast<std::size_t>(8 * num_threads + 8)) {
    result_.samples.resize(static_cast<std::size_t>(count));
  }

  // The next image to work on, or -1 when there is nothing more to do.
  std::int64_t take() {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto may_start = [&] {
      const bool room = taken_ < next_ + static_cast<std::int64_t>(waiting_.size());
      return stopped_ || taken_ >= count_ || (room && (held_ < kMaxHeld || taken_ == next_));
    };
    changed_.wait(lock, may_start);
    return stopped_ || taken_ >= count_ ? -1 : taken_++;
  }

  // Takes a finished image, and writes all whose turn has come.
  void give(std::int64_t index, Payload payload) {
    std::vector<std::pair<std::uint64_t, std::vector<std::uint8_t>>> ready;
    std::size_t size = 0;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      held_ += payload.bytes.size();
      slot(index) = Slot{true, std::move(payload)};
      while (!stopped_ && next_ < taken_ && slot(next_).full) {
        Slot one = std::move(slot(next_));
        slot(next_) = Slot{};
        settle(next_, one.payload);
        size += one.payload.bytes.size();
        if (one.payload.how != How::bad) {
          ready.emplace_back(result_.samples[static_cast<std::size_t>(next_)].pointer, std::move(one.payload.bytes));
        }
        done_.store(++next_, std::memory_order_relaxed);
      }
    }
    changed_.notify_all();
    for (const auto& [pointer, bytes] : ready) {
      write_at(fd_, bytes.data(), bytes.size(), pointer);
      const std::uint64_t end = pointer + bytes.size();
      if (pointer / kDigestBlock != end / kDigestBlock) {  // a MiB has been filled, or nearly so
        start_writeback(fd_, pointer / kDigestBlock * kDigestBlock, kDigestBlock);
      }
    }
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      held_ -= size;
    }
    changed_.notify_all();
  }

  void stop() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
  }

  Written finish() {
    result_.blocks = digests_.finish((placer_.end() + page_size_ - 1) / page_size_ * page_size_);
    return std::move(result_);
  }

 private:
  struct Slot {
    bool full = false;
    Payload payload;
  };

  Slot& slot(std::int64_t index) { return waiting_[static_cast<std::size_t>(index) % waiting_.size()]; }

  void settle(std::int64_t index, const Payload& payload) {
    Stored& stored = result_.samples[static_cast<std::size_t>(index)];
    stored.how = payload.how;
    if (payload.how == How::bad) {
      result_.reasons.emplace(index, payload.reason);
      stopped_ = stopped_ || stop_at_bad_;
      return;
    }
    stored.pointer = placer_.place(payload.bytes.size());
    stored.size = static_cast<std::uint32_t>(payload.bytes.size());
    stored.width = static_cast<std::uint16_t>(payload.width);
    stored.height = static_cast<std::uint16_t>(payload.height);
    stored.raw = payload.raw;
    // In the order of the file, so under the lock: XXH3 takes a payload that is still in the cache faster than any
    // disk takes it.
    digests_.skip_to(stored.pointer);
    digests_.add(payload.bytes.data(), payload.bytes.size());
  }

  const int fd_;
  const std::int64_t count_;
  const bool stop_at_bad_;
  std::atomic<std::int64_t>& done_;
  const std::uint64_t page_size_;
  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  Placer placer_;
  BlockDigests digests_;
  std::vector<Slot> waiting_;  // finished images from next_ on, each at its index modulo the size
  std::int64_t taken_ = 0, next_ = 0;
  std::size_t held_ = 0;
  bool stopped_ = false;
  Written result_;
};

}  // namespace

Written write_images(int fd, const std::string& root, const std::vector<const char*>& paths, std::uint64_t start,
                     const ImageOptions& options, bool stop_at_bad, int num_threads, const Fallback& fallback,
                     const Poll& poll, std::atomic<std::int64_t>& done, bool& interrupted) {
  const auto count = static_cast<std::int64_t>(paths.size());
  const int threads = static_cast<int>(std::clamp<std::int64_t>(resolve_threads(num_threads), 1, std::max<std::int64_t>(count, 1)));
  Writer writer(fd, count, start, options, stop_at_bad, threads, done);
  const auto work = [&](int) {
    for (std::int64_t index; (index = writer.take()) >= 0;) {
      writer.give(index, make_payload(index, root + paths[static_cast<std::size_t>(index)], options, fallback));
    }
  };
  interrupted = !run_watched(threads, work, [&] { writer.stop(); }, poll);
  return writer.finish();
}

}  // namespace rescale_fast
