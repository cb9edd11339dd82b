# The whole standard library, parsed once: competitive programs include it whole, and compile in a quarter of
# the time. It is used by compilations with the same options only, which are those of language.toml.
header=$(echo '#include <bits/stdc++.h>' | g++ -std=gnu++20 -M -x c++ - | tr -s ' \\' '\n' | grep 'bits/stdc++.h$')
g++ -std=gnu++20 -O2 -w -x c++-header -o "$header.gch" "$header"
