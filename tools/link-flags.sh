#!/bin/sh
# Flags that make the shared object small where the linker is known to take them: without them it holds all of the SDK.
case $(uname -s) in
Linux) echo '-Wl,--gc-sections -Wl,--exclude-libs,ALL -s' ;;
esac
