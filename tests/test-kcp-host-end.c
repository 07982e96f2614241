/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The program kcp-host: how a run ends that does not end by itself, and what a person sees. */
#include "host-program.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static void
test_interrupt (void)
{
  Talk *talk = talk_start ("%probe");

  talk_send (talk, "settings");
  talk_expect (talk, "{\"id\":1,\"end\":\"\"}");
  g_subprocess_send_signal (talk->process, SIGINT);
  talk_expect (talk, NULL);
  g_assert_cmpint (talk_end (talk), ==, 130);

  talk = talk_start ("%count call count '{\"to\": 1000000, \"every_ms\": 1}'");
  talk_expect (talk, "{\"n\":1}");
  g_subprocess_send_signal (talk->process, SIGTERM);
  g_assert_cmpint (talk_end (talk), ==, 130);
}

/* A second one does not wait for the call that is still open. */
static void
test_interrupt_twice (void)
{
  Talk *talk = talk_start ("--stop-timeout 3600 %probe");

  talk_send (talk, "{\"id\":1,\"call\":\"hang\"}");
  talk_send (talk, "{\"id\":2,\"call\":\"settings\"}");
  talk_expect (talk, "{\"id\":2,\"end\":\"\"}");
  g_subprocess_send_signal (talk->process, SIGINT);
  g_subprocess_send_signal (talk->process, SIGTERM);
  talk_expect_start (talk, "{\"id\":1,\"error\":");
  g_assert_cmpint (talk_end (talk), ==, 130);
}

static void
test_closed_output (void)
{
  Talk *talk = talk_start ("%count");

  talk_send (talk, "count {\"to\":1000000000}");
  talk_expect (talk, "{\"id\":1,\"item\":{\"n\":1}}");
  g_assert_true (g_input_stream_close (G_INPUT_STREAM (talk->out), NULL, NULL));
  g_assert_cmpint (talk_end (talk), ==, 0);

  /* Noticed even while nothing is being written. */
  talk = talk_start ("%echo");
  talk_send (talk, "echo 1");
  talk_expect (talk, "{\"id\":1,\"end\":1}");
  g_assert_true (g_input_stream_close (G_INPUT_STREAM (talk->out), NULL, NULL));
  g_assert_cmpint (talk_end (talk), ==, 0);
}

static void
test_full_disk (void)
{
  g_autoptr (GSubprocessLauncher) launcher = program_launcher (G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_autofree char *echo = program_plugin ("echo");
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *complaint = NULL;
  int full = open ("/dev/full", O_WRONLY | O_CLOEXEC);

  if (full < 0)
    {
      g_test_skip ("there is no /dev/full");
      return;
    }

  g_subprocess_launcher_take_stdout_fd (launcher, full);
  process = g_subprocess_launcher_spawn (launcher, &error, g_getenv ("KCP_HOST"),
                                         echo, "call", "echo", "1", NULL);
  g_assert_no_error (error);
  g_subprocess_communicate_utf8 (process, NULL, NULL, NULL, &complaint, &error);
  g_assert_no_error (error);
  program_assert_part (complaint, "kcp-host: ");
  g_assert_cmpint (g_subprocess_get_exit_status (process), ==, 6);
}

/* ---- a terminal ---- */

/* Reads until @part has come, and keeps what comes after it. */
static void
wait_for (int         terminal,
          GString    *screen,
          const char *part)
{
  const char *at;

  while ((at = strstr (screen->str, part)) == NULL)
    {
      char buffer[256];
      gssize n = read (terminal, buffer, sizeof buffer);

      if (n <= 0)
        g_error ("the terminal ended before “%s”: %s", part, screen->str);
      g_string_append_len (screen, buffer, n);
    }
  g_string_erase (screen, 0, at - screen->str + (gssize) strlen (part));
}

static void
type (int         terminal,
      const char *text)
{
  g_assert_cmpint (write (terminal, text, strlen (text)), ==, strlen (text));
}

static void
test_terminal (void)
{
  g_autoptr (GSubprocessLauncher) launcher = program_launcher (0);
  g_autofree char *count = program_plugin ("count");
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) screen = g_string_new (NULL);
  struct winsize size = { .ws_row = 24, .ws_col = 40 };
  struct termios modes;
  int terminal = posix_openpt (O_RDWR | O_NOCTTY | O_CLOEXEC);
  int end;

  if (terminal < 0)
    {
      g_test_skip ("there are no pseudo terminals here (is /dev/pts mounted?)");
      return;
    }
  g_assert_cmpint (grantpt (terminal), ==, 0);
  g_assert_cmpint (unlockpt (terminal), ==, 0);
  end = open (ptsname (terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
  g_assert_cmpint (end, >=, 0);
  ioctl (end, TIOCSWINSZ, &size);
  tcgetattr (end, &modes);
  modes.c_lflag &= ~(tcflag_t) ECHO;
  modes.c_oflag &= ~(tcflag_t) OPOST;
  tcsetattr (end, TCSANOW, &modes);

  g_subprocess_launcher_take_stdin_fd (launcher, dup (end));
  g_subprocess_launcher_take_stdout_fd (launcher, end);
  process = g_subprocess_launcher_spawn (launcher, &error, g_getenv ("KCP_HOST"), count, NULL);
  g_assert_no_error (error);

  /* Greeting and prompt, item, end, prompt; the colours are those of a JSON value. */
  wait_for (terminal, screen, "\033[1mcount 1\033[0m  \033[36mcount  running\033[0m\n");
  wait_for (terminal, screen, "\033[1m›\033[0m ");
  type (terminal, "count {\"to\":1}\n");
  wait_for (terminal, screen, "\033[2m1\033[0m  \033[2m·\033[0m  {\033[34m\"n\"\033[0m: \033[36m1\033[0m}\n");
  type (terminal, "nothing\n");
  wait_for (terminal, screen, "\033[1;31m✗\033[0m  unknown-path: ");
  type (terminal, "\004");
  g_subprocess_wait (process, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (g_subprocess_get_exit_status (process), ==, 1);
  close (terminal);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  /* A program that has ended does not read what we send it. */
  signal (SIGPIPE, SIG_IGN);

  g_test_add_func ("/kcp-host/end/interrupt", test_interrupt);
  g_test_add_func ("/kcp-host/end/interrupt-twice", test_interrupt_twice);
  g_test_add_func ("/kcp-host/end/closed-output", test_closed_output);
  g_test_add_func ("/kcp-host/end/full-disk", test_full_disk);
  g_test_add_func ("/kcp-host/terminal", test_terminal);

  return g_test_run ();
}
