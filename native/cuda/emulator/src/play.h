// Misfortunes that the environment asks for: TENSORWRIGHT_EMULATOR_PLAY is a list of them, read anew whenever it
// matters, so that a test may change it while it runs.
#pragma once
#include <cstdint>
#include <string>

namespace tw_emulator {

// 'NAME:VALUE' entries, separated by commas. `fallback` where the name is not played.
int64_t played(const char* name, int64_t fallback);
// Whether NAME is played for the kernel or call: 'fault:product'.
bool played_for(const char* name, const std::string& kernel);
// What may become of calls that take long and memory of their own; see 'hang' and 'needs'. kSuccess where they go on.
int begin_call(const char* call);

// The result that every call of a lost device gives; kSuccess as long as it is well.
int lost(int device);
void lose(int device, int result);

// Appends a line to the file TENSORWRIGHT_EMULATOR_TRACE, where it is set.
void trace(const std::string& line);

}  // namespace tw_emulator
