// Whole reads and writes on file descriptors. What fails is thrown with its errno.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <system_error>

#include <unistd.h>

namespace rescale_fast {

// Reads size bytes at offset. Returns how many there were: fewer only at the end of the file.
inline std::size_t read_at(int fd, std::uint8_t* data, std::size_t size, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = ::pread(fd, data + done, size - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw std::system_error(errno, std::generic_category());
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

// As read_at, but throws (errno is ENODATA) when the file ends before.
inline void read_whole(int fd, std::uint8_t* data, std::size_t size, std::uint64_t offset) {
  if (read_at(fd, data, size, offset) != size) throw std::system_error(ENODATA, std::generic_category());
}

inline void write_at(int fd, const std::uint8_t* data, std::size_t size, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = ::pwrite(fd, data + done, size - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) throw std::system_error(count < 0 ? errno : ENOSPC, std::generic_category());
    done += static_cast<std::size_t>(count);
  }
}

// Where payloads lie: one after another, none across a page.
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
