// Whole reads and writes on file descriptors. What fails is thrown with its errno.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

namespace rescale_fast {

// The operating system did not give a file, also when asked again.
struct FileError : std::system_error {
  FileError(const std::string& file, int error) : std::system_error(error, std::generic_category()), path(file) {}
  const std::string path;
};

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

// Has the system begin to bring what was just written to the disk, so that the fsync at the end has little left to wait
// for. A hint: where it is not known, that fsync does it all.
inline void start_writeback([[maybe_unused]] int fd, [[maybe_unused]] std::uint64_t offset,
                            [[maybe_unused]] std::uint64_t size) {
#ifdef SYNC_FILE_RANGE_WRITE
  ::sync_file_range(fd, static_cast<off_t>(offset), static_cast<off_t>(size), SYNC_FILE_RANGE_WRITE);
#endif
}

}  // namespace rescale_fast
