# Language level, warnings, floating-point rules and visibility shared by every target.

string(TOLOWER "${CMAKE_SYSTEM_PROCESSOR}" TW_PROCESSOR)
if(CMAKE_OSX_ARCHITECTURES)
  string(TOLOWER "${CMAKE_OSX_ARCHITECTURES}" TW_PROCESSOR)
endif()
if(TW_PROCESSOR MATCHES "^(x86_64|amd64|x64)$")
  set(TW_X86 ON)
else()
  set(TW_X86 OFF)
endif()

function(tw_options target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES
    CXX_EXTENSIONS OFF
    POSITION_INDEPENDENT_CODE ON
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)
  target_include_directories(${target} PUBLIC
    "${CMAKE_CURRENT_SOURCE_DIR}/src" "${CMAKE_CURRENT_SOURCE_DIR}/include")
  if(MSVC)
    target_compile_options(${target} PRIVATE /W3 /EHsc /fp:precise /utf-8)
    target_compile_definitions(${target} PRIVATE NOMINMAX _CRT_SECURE_NO_WARNINGS)
  else()
    # Results must not depend on the instruction set: no contraction into fused multiply-adds. Nobody reads errno or
    # the floating-point exception flags, and saying so is what lets loops with sqrt, floor and selects vectorise.
    target_compile_options(${target} PRIVATE
      -Wall -Wextra $<$<CONFIG:Release>:-O3> -ffp-contract=off -fno-math-errno -fno-trapping-math)
    if(TW_X86 AND NOT target MATCHES "_isa_")
      target_compile_options(${target} PRIVATE -march=x86-64-v2)
    endif()
    get_target_property(type ${target} TYPE)
    if(CMAKE_SYSTEM_NAME STREQUAL "Linux" AND type MATCHES "EXECUTABLE|SHARED_LIBRARY")
      target_link_options(${target} PRIVATE -static-libstdc++ -static-libgcc $<$<CONFIG:Release>:-s>)
    elseif(APPLE AND type STREQUAL "SHARED_LIBRARY")
      target_link_options(${target} PRIVATE $<$<CONFIG:Release>:-Wl,-x>)
    endif()
  endif()
endfunction()
