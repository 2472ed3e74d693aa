/* The one program of the image without a shell, and of the sandbox image: each mode shows one
   thing a test wants to see from inside a container. Linked statically, so that it needs nothing
   beside itself. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int copy(void) {
    char buffer[65536];
    ssize_t got;
    while ((got = read(0, buffer, sizeof buffer)) > 0) {
        for (ssize_t done = 0; done < got;) {
            ssize_t put = write(1, buffer + done, got - done);
            if (put < 0) return 1;
            done += put;
        }
    }
    return got < 0;
}

/* A sandbox's process is the parent of last resort of a pod that shares its process namespace. */
static int reap(void) {
    sigset_t awaited;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGCHLD);
    sigaddset(&awaited, SIGINT);
    sigaddset(&awaited, SIGTERM);
    sigprocmask(SIG_BLOCK, &awaited, NULL);
    for (;;) {
        int signal = 0;
        sigwait(&awaited, &signal);
        if (signal != SIGCHLD) return 0;
        while (waitpid(-1, NULL, WNOHANG) > 0) {}
    }
}

static int size(void) {
    struct winsize size;
    if (ioctl(0, TIOCGWINSZ, &size)) {
        perror("stdin");
        return 1;
    }
    printf("%u %u\n", size.ws_row, size.ws_col);
    return 0;
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    int number = argc > 2 ? atoi(argv[2]) : 0;
    if (!strcmp(mode, "args")) {
        for (int i = 2; i < argc; i++) printf("[%s]\n", argv[i]);
        return 0;
    }
    if (!strcmp(mode, "env")) {
        for (char **entry = environ; *entry; entry++) puts(*entry);
        return 0;
    }
    if (!strcmp(mode, "signal")) {
        kill(getpid(), number);
        return 0;
    }
    if (!strcmp(mode, "sleep")) {
        for (;;) pause();
    }
    if (!strcmp(mode, "cat")) return copy();
    if (!strcmp(mode, "exit")) return number;
    if (!strcmp(mode, "pause")) return reap();
    if (!strcmp(mode, "size")) return size();
    fprintf(stderr, "probe: no mode \"%s\"\n", mode);
    return 2;
}
