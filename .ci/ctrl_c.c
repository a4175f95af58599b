/* Presses Ctrl-C in the console of another process, as a person would: ctrl_c PID. */
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **words)
{
    DWORD pid = count > 1 ? strtoul(words[1], NULL, 10) : 0;
    FreeConsole();
    if (!AttachConsole(pid) || !SetConsoleCtrlHandler(NULL, TRUE)
        || !GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0)) {
        fprintf(stderr, "Ctrl-C does not reach process %lu: error %lu\n", pid, GetLastError());
        return 1;
    }
    return 0;
}
