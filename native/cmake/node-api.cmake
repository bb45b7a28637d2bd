# Turns a shared library into a Node-API addon. cmake-js passes the header folders; plain cmake asks node for them.

if(NOT CMAKE_JS_INC)
  find_program(TW_NODE_EXECUTABLE node REQUIRED)
  foreach(expression "require('node-api-headers').include_dir" "require('node-addon-api').include_dir")
    execute_process(
      COMMAND "${TW_NODE_EXECUTABLE}" -p "require('path').resolve(${expression})"
      WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}"
      OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status ERROR_QUIET)
    if(NOT status EQUAL 0)
      message(FATAL_ERROR "cannot evaluate ${expression}: run npm install first, or build with cmake-js")
    endif()
    list(APPEND CMAKE_JS_INC "${folder}")
  endforeach()
endif()
set(TW_NODE_SOURCES ${CMAKE_JS_SRC})  # on Windows, the delay-load hook

function(tw_node_addon target)
  set_target_properties(${target} PROPERTIES PREFIX "" SUFFIX ".node")
  target_include_directories(${target} SYSTEM PRIVATE ${CMAKE_JS_INC})
  target_compile_definitions(${target} PRIVATE
    NAPI_VERSION=8 NODE_ADDON_API_CPP_EXCEPTIONS_ALL NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS)
  target_link_libraries(${target} PRIVATE ${CMAKE_JS_LIB})
  if(APPLE)
    target_link_options(${target} PRIVATE -undefined dynamic_lookup)
  elseif(NOT MSVC)
    # A static library's symbols stay inside, whatever their visibility.
    target_link_options(${target} PRIVATE -Wl,--exclude-libs,ALL)
  endif()
endfunction()
