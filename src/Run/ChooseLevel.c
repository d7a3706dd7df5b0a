// The first step of a llamafs-run that holds the program three times, each compiled for another level of x86-64 (scripts/publish-run.sh):
// what .NET compiles ahead of time cannot choose between AVX2 and AVX-512 when it runs, so this does before .NET starts.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*constructor)(void);

// A level: its main, and the constructors of its runtime between two names that the linker makes.
#define LEVEL(name) \
    int main_##name(int argc, char **argv); \
    extern constructor __start_constructors_##name[], __stop_constructors_##name[]; \
    static int run_##name(int argc, char **argv) \
    { \
        for (constructor *next = __start_constructors_##name; next < __stop_constructors_##name; next++) \
            (*next)(); \
        return main_##name(argc, argv); \
    }

LEVEL(v2) // SSE4.2: what .NET needs at least
LEVEL(v3) // AVX2 and FMA
LEVEL(v4) // AVX-512

int main(int argc, char **argv)
{
    // Kernels of a narrower level run in that level's program, so that one machine can try them all.
    const char *asked = getenv("LLAMAFS_KERNELS");
    int narrow = asked && (!strcmp(asked, "v128") || !strcmp(asked, "scalar"));
    int middle = asked && !strcmp(asked, "v256");

    if (__builtin_cpu_supports("x86-64-v4") && !narrow && !middle)
        return run_v4(argc, argv);
    if (__builtin_cpu_supports("x86-64-v3") && !narrow)
        return run_v3(argc, argv);
    if (__builtin_cpu_supports("x86-64-v2"))
        return run_v2(argc, argv);
    fputs("llamafs-run: this processor is too old: it lacks SSE4.2 or POPCNT, which .NET needs.\n", stderr);
    return 1;
}
