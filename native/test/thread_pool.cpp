// The thread pool: every task once, unique lanes, nested loops, several callers, exceptions.
#include "base/thread_pool.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/check.h"

using tw::ThreadPool;

namespace {

void check_each_task_once(ThreadPool& pool, int64_t tasks) {
  std::vector<std::atomic<int>> runs(static_cast<size_t>(tasks));
  std::vector<std::atomic<int>> lane_users(static_cast<size_t>(pool.threads()));
  std::atomic<bool> lanes_ok{true};
  pool.parallel_for(tasks, [&](int64_t task, int lane) {
    if (lane < 0 || lane >= pool.threads() || lane_users[lane].fetch_add(1) != 0) lanes_ok = false;
    runs[task].fetch_add(1);
    lane_users[lane].fetch_sub(1);
  });
  CHECK(lanes_ok.load());
  for (auto& r : runs)
    if (r.load() != 1) return test::fail(__FILE__, __LINE__, "a task ran " + std::to_string(r.load()) + " times");
}

}  // namespace

TEST(each_task_once) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    CHECK_EQ(pool.threads(), threads);
    for (int64_t tasks : {0, 1, 2, 3, 7, 64, 1000}) check_each_task_once(pool, tasks);
    for (int i = 0; i < 3000; ++i) check_each_task_once(pool, 1 + i % 9);
  }
}

TEST(wakes_after_sleeping) {
  ThreadPool pool(4);
  for (int i = 0; i < 100; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(20 * (i % 7)));
    check_each_task_once(pool, 5);
  }
}

TEST(all_threads_take_part) {
  // Every task waits until all four run at once: passes only with four distinct threads at work.
  ThreadPool pool(4);
  for (int i = 0; i < 50; ++i) {
    std::atomic<int> arrived{0};
    pool.parallel_for(4, [&](int64_t, int) {
      arrived.fetch_add(1);
      while (arrived.load() < 4) std::this_thread::yield();
    });
    CHECK_EQ(arrived.load(), 4);
  }
}

TEST(several_callers) {
  for (int threads : {1, 3}) {
    ThreadPool pool(threads);
    std::vector<std::thread> callers;
    for (int c = 0; c < 20; ++c)
      callers.emplace_back([&] {
        for (int i = 0; i < 500; ++i) check_each_task_once(pool, 1 + i % 17);
      });
    for (auto& t : callers) t.join();
  }
}

TEST(nested_loops) {
  ThreadPool pool(3);
  for (int i = 0; i < 200; ++i) {
    std::atomic<int> inner{0};
    pool.parallel_for(7, [&](int64_t, int) { pool.parallel_for(5, [&](int64_t, int) { inner.fetch_add(1); }); });
    CHECK_EQ(inner.load(), 35);
  }
}

TEST(first_exception_is_rethrown) {
  for (int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    for (int i = 0; i < 300; ++i) {
      std::atomic<int> running{0};
      bool caught = false;
      try {
        pool.parallel_for(20, [&](int64_t task, int) {
          running.fetch_add(1);
          struct Leave {
            std::atomic<int>& n;
            ~Leave() { n.fetch_sub(1); }
          } leave{running};
          if (task % 3 == 1) throw std::runtime_error("task failed");
        });
      } catch (const std::runtime_error& e) {
        caught = std::string(e.what()) == "task failed";
      }
      CHECK(caught);
      CHECK_EQ(running.load(), 0);
    }
    check_each_task_once(pool, 50);  // usable afterwards
  }
}

TEST(ranges_cover_exactly) {
  for (int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    for (int64_t count : {0, 1, 5, 99, 1000, 4097})
      for (int64_t grain : {1, 7, 64, 5000}) {
        std::vector<std::atomic<int>> hits(static_cast<size_t>(count));
        std::atomic<bool> grain_ok{true};
        pool.parallel_ranges(count, grain, [&](int64_t begin, int64_t end, int) {
          if (end - begin < std::min(grain, count)) grain_ok = false;
          for (int64_t i = begin; i < end; ++i) hits[i].fetch_add(1);
        });
        CHECK(grain_ok.load());
        bool once = true;
        for (auto& h : hits) once &= h.load() == 1;
        CHECK(once);
      }
  }
}

TEST(pools_come_and_go) {
  for (int i = 0; i < 200; ++i) {
    ThreadPool pool(1 + i % 5);
    if (i % 2) check_each_task_once(pool, 6);
  }
}

// A worker may be anywhere between two looks at its work when its pool ends; more threads than cores stretch each place.
TEST(pools_end_at_any_moment) {
  std::vector<std::thread> owners;
  for (unsigned owner = 0; owner < 8; ++owner)
    owners.emplace_back([random = std::minstd_rand(owner + 1)]() mutable {
      for (int i = 0; i < 10000; ++i) {
        ThreadPool pool(2 + static_cast<int>(random() % 3));
        if (i % 4 == 0) pool.parallel_for(3, [](int64_t, int) {});
        const auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(random() % 60000);
        while (std::chrono::steady_clock::now() < end) continue;
      }
    });
  for (auto& owner : owners) owner.join();
}
