/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The program kcp-host as others talk to it: JSON Lines, callbacks, run. */
#include "host-program.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define UNKNOWN_PATH "\"error\":{\"domain\":\"kcp\",\"code\":\"unknown-path\",\"message\":"

/* ---- calls ---- */

static void
test_forms (void)
{
  Talk *talk = talk_start ("%echo");

  talk_send (talk, "{\"id\":\"a\",\"call\":\"echo\",\"body\":{\"x\": 1}}");
  talk_expect (talk, "{\"id\":\"a\",\"end\":{\"x\":1}}");
  talk_send (talk, "echo [1, 2]");
  talk_expect (talk, "{\"id\":1,\"end\":[1,2]}");
  talk_send (talk, "  echo\t\"ü\" \r");
  talk_expect (talk, "{\"id\":2,\"end\":\"ü\"}");
  talk_send (talk, "echo");
  talk_expect (talk, "{\"id\":3,\"end\":null}");
  talk_send (talk, "");
  talk_send (talk, "{\"id\":null,\"call\":\"echo\",\"timeout_ms\":5000}");
  talk_expect (talk, "{\"id\":null,\"end\":null}");
  talk_send (talk, "{\"id\":-1.5,\"call\":\"echo\",\"body\":0}");
  talk_expect (talk, "{\"id\":-1.5,\"end\":0}");
  talk_send (talk, "{\"tell\":\"echo\",\"body\":0}");
  talk_send (talk, "{\"call\":\"echo\",\"body\":\"last\"}");
  talk_expect (talk, "{\"id\":4,\"end\":\"last\"}");
  talk_end_input (talk);
  talk_expect (talk, NULL);
  g_assert_cmpint (talk_end (talk), ==, 0);
}

static void
test_stream (void)
{
  program_expect ("{\"id\":9,\"call\":\"count\",\"body\":{\"to\":2}}", "%count", 0,
                  "{\"id\":9,\"item\":{\"n\":1}}\n"
                  "{\"id\":9,\"item\":{\"n\":2}}\n"
                  "{\"id\":9,\"end\":{\"count\":2}}\n");
}

static void
test_trace (void)
{
  program_expect ("{\"id\":1,\"call\":\"trace\",\"traceparent\":"
                  "\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"}", "%probe", 0,
                  "{\"id\":1,\"end\":\"0af7651916cd43dd8448eb211c80319c\"}\n");
}

/* Far more than may be in flight at once: all are answered, each once. */
static void
test_many (void)
{
  enum { N = 5000 };
  g_autoptr (GString) input = g_string_new (NULL);
  g_autoptr (Program) program = NULL;
  g_autofree gboolean *seen = g_new0 (gboolean, N + 1);
  g_auto (GStrv) lines = NULL;

  for (int i = 1; i <= N; i++)
    g_string_append_printf (input, "echo %d\n", i);
  program = program_run (NULL, input->str, "%echo");
  g_assert_cmpint (program->status, ==, 0);

  lines = g_strsplit (program->out, "\n", -1);
  g_assert_cmpuint (g_strv_length (lines), ==, N + 1);
  for (int i = 0; i < N; i++)
    {
      int id, body;

      g_assert_cmpint (sscanf (lines[i], "{\"id\":%d,\"end\":%d}", &id, &body), ==, 2);
      g_assert_cmpint (id, ==, body);
      g_assert_cmpint (id, >=, 1);
      g_assert_cmpint (id, <=, N);
      g_assert_false (seen[id]);
      seen[id] = TRUE;
    }
}

/* The later call is answered first: the earlier one never is. */
static void
test_order_and_cancel (void)
{
  Talk *talk = talk_start ("%probe");

  talk_send (talk, "{\"id\":1,\"call\":\"hang\"}");
  talk_send (talk, "{\"id\":2,\"call\":\"settings\"}");
  talk_expect (talk, "{\"id\":2,\"end\":\"\"}");
  talk_send (talk, "{\"id\":1,\"cancel\":true}");
  talk_expect_start (talk, "{\"id\":1,\"error\":{\"domain\":\"g-io-error-quark\",\"code\":19,");

  /* Too late is no mistake, and the id is free again. */
  talk_send (talk, "{\"id\":1,\"cancel\":true}");
  talk_send (talk, "{\"id\":1,\"call\":\"settings\"}");
  talk_expect (talk, "{\"id\":1,\"end\":\"\"}");
  talk_end_input (talk);
  talk_expect (talk, NULL);
  g_assert_cmpint (talk_end (talk), ==, 0);
}

static void
test_failures (void)
{
  Talk *talk = talk_start ("--timeout 60 %probe");

  talk_send (talk, "nothing");
  talk_expect_start (talk, "{\"id\":1," UNKNOWN_PATH);
  talk_send (talk, "{\"id\":2,\"call\":\"hang\",\"timeout_ms\":20}");
  talk_expect_start (talk, "{\"id\":2,\"error\":{\"domain\":\"kcp\",\"code\":\"timed-out\",");
  talk_send (talk, "broken");
  talk_expect_start (talk, "{\"id\":2,\"error\":{\"domain\":\"kcp\",\"code\":\"invalid-message\",");
  talk_send (talk, "bytes");
  talk_expect (talk, "{\"id\":3,\"end\":{\"content_type\":\"application/x-probe\",\"base64\":\"AAECCg==\"}}");
  talk_send (talk, "fail");
  talk_expect_start (talk, "{\"id\":4,\"error\":{\"domain\":\"kcp\",\"code\":\"handler-failed\",");
  talk_end_input (talk);
  talk_expect (talk, NULL);
  g_assert_cmpint (talk_end (talk), ==, 1);
}

static void
test_remote_error (void)
{
  g_autoptr (Program) program = program_run (NULL, "fail\n", "%probe");

  program_assert_part (program->out,
                       ",\"remote\":{\"domain\":\"probe-error\",\"code\":7,\"message\":\"as you wish\"}}}\n");
}

/* A bad line is told with its number, and the run goes on. */
static void
test_bad_lines (void)
{
  static const char *const bad[] = {
    "{", "{}", "{\"call\":1}", "{\"call\":\"\"}", "{\"call\":\"echo\",\"bdoy\":1}",
    "{\"id\":[],\"call\":\"echo\"}",
    "{\"call\":\"echo\",\"timeout_ms\":-1}", "{\"call\":\"echo\",\"timeout_ms\":\"1\"}",
    "{\"call\":\"echo\",\"traceparent\":\"x\"}", "{\"cancel\":true}", "{\"id\":1,\"cancel\":1}",
    "{\"callback\":1,\"reply\":1}", "{\"callback\":0,\"reply\":1}", "{\"callback\":1}",
    "{\"callback\":1,\"reply\":1,\"error\":\"\"}", "echo {", "echo 1 2", "\xff 1", "echo \"\xff\"",
  };
  g_autoptr (GString) input = g_string_new (NULL);
  g_autoptr (Program) program = NULL;
  g_auto (GStrv) lines = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    g_string_append_printf (input, "%s\n", bad[i]);
  g_string_append (input, "{\"id\":\"good\",\"call\":\"echo\",\"body\":1}\n");
  program = program_run (NULL, input->str, "%echo");
  g_assert_cmpint (program->status, ==, 7);

  lines = g_strsplit (program->out, "\n", -1);
  g_assert_cmpuint (g_strv_length (lines), ==, G_N_ELEMENTS (bad) + 2);
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autofree char *part = g_strdup_printf ("\"line\":%u,\"error\":{\"domain\":\"kcp\",", (guint) i + 1);

      program_assert_part (lines[i], part);
    }
  g_assert_cmpstr (lines[G_N_ELEMENTS (bad)], ==, "{\"id\":\"good\",\"end\":1}");
}

static void
test_id_in_use (void)
{
  Talk *talk = talk_start ("%probe");

  talk_send (talk, "{\"id\":1,\"call\":\"hang\"}");
  talk_send (talk, "{\"id\":1,\"call\":\"settings\"}");
  talk_expect_start (talk, "{\"line\":2,\"error\":");

  /* The running number steps over it. */
  talk_send (talk, "settings");
  talk_expect (talk, "{\"id\":2,\"end\":\"\"}");
  talk_send (talk, "{\"id\":1,\"cancel\":true}");
  talk_expect_start (talk, "{\"id\":1,\"error\":");
  talk_end_input (talk);
  g_assert_cmpint (talk_end (talk), ==, 7);
}

static void
test_crash (void)
{
  Talk *talk = talk_start ("--quiet %probe");
  g_autofree char *first = NULL;
  g_autofree char *second = NULL;
  g_autofree char *both = NULL;

  talk_send (talk, "{\"id\":1,\"call\":\"hang\"}");
  talk_send (talk, "{\"id\":2,\"call\":\"crash\"}");
  first = talk_read (talk);
  second = talk_read (talk);

  /* Which comes first does not matter. */
  program_assert_part (first, "\"error\":{\"domain\":\"kcp\",\"code\":\"child-crashed\",");
  program_assert_part (second, "\"error\":{\"domain\":\"kcp\",\"code\":\"child-crashed\",");
  both = g_strconcat (first, second, NULL);
  program_assert_part (both, "{\"id\":1,");
  program_assert_part (both, "{\"id\":2,");

  /* It ends by itself, though its input is open. */
  talk_expect (talk, NULL);
  g_assert_cmpint (talk_end (talk), ==, 4);
}

/* ---- callbacks ---- */

static void
test_callback_lines (void)
{
  Talk *talk = talk_start ("--callbacks %ask");

  talk_send (talk, "ask {\"path\":\"name\",\"body\":[1]}");
  talk_expect (talk, "{\"callback\":1,\"path\":\"name\",\"body\":[1]}");
  talk_send (talk, "{\"callback\":1,\"reply\":{\"x\":2}}");
  talk_expect (talk, "{\"id\":1,\"end\":{\"answer\":{\"x\":2}}}");

  talk_send (talk, "ask {\"path\":\"name\"}");
  talk_expect (talk, "{\"callback\":2,\"path\":\"name\",\"body\":null}");
  talk_send (talk, "{\"callback\":2,\"error\":\"not today\"}");
  talk_expect_start (talk, "{\"id\":2,\"error\":{\"domain\":\"kcp\",\"code\":\"handler-failed\",");

  talk_send (talk, "collect {\"path\":\"some\"}");
  talk_expect (talk, "{\"callback\":3,\"path\":\"some\",\"body\":null}");
  talk_send (talk, "{\"callback\":3,\"item\":1}");
  talk_send (talk, "{\"callback\":3,\"item\":2}");
  talk_send (talk, "{\"callback\":3,\"reply\":3}");
  talk_expect (talk, "{\"id\":3,\"end\":{\"items\":[1,2],\"result\":3}}");

  talk_send (talk, "tell {\"path\":\"news\",\"body\":4}");
  talk_expect (talk, "{\"callback\":4,\"path\":\"news\",\"body\":4,\"wants_reply\":false}");
  talk_expect (talk, "{\"id\":4,\"end\":{\"told\":\"news\"}}");

  talk_send (talk, "{\"id\":\"x\",\"call\":\"ask\",\"body\":{\"path\":\"slow\"}}");
  talk_expect (talk, "{\"callback\":5,\"path\":\"slow\",\"body\":null}");
  talk_send (talk, "{\"id\":\"x\",\"cancel\":true}");
  talk_expect_start (talk, "{\"id\":\"x\",\"error\":");
  talk_expect (talk, "{\"callback\":5,\"cancelled\":true}");

  /* Too late is no mistake, never asked is one. */
  talk_send (talk, "{\"callback\":5,\"reply\":1}");
  talk_send (talk, "{\"callback\":6,\"reply\":1}");
  talk_expect_start (talk, "{\"line\":13,\"error\":");

  talk_send (talk, "ask {\"path\":\"unanswered\"}");
  talk_expect (talk, "{\"callback\":6,\"path\":\"unanswered\",\"body\":null}");
  talk_end_input (talk);
  talk_expect_start (talk, "{\"id\":5,\"error\":");
  talk_expect (talk, NULL);
  g_assert_cmpint (talk_end (talk), ==, 7);
}

/* The answers stand behind far more calls than may be in flight. */
static void
test_callback_behind_calls (void)
{
  enum { N = 2000 };
  Talk *talk = talk_start ("--callbacks %ask");
  g_autoptr (GString) lines = g_string_new (NULL);
  guint n_ends = 0;

  talk_send (talk, "ask {\"path\":\"first\"}");
  talk_expect (talk, "{\"callback\":1,\"path\":\"first\",\"body\":null}");
  for (int i = 0; i < N; i++)
    g_string_append (lines, "tell {\"path\":\"more\"}\n");
  g_string_append (lines, "{\"callback\":1,\"reply\":0}");
  talk_send (talk, lines->str);
  talk_end_input (talk);

  for (;;)
    {
      g_autofree char *line = talk_read (talk);

      if (line == NULL)
        break;
      if (g_str_has_prefix (line, "{\"id\":"))
        {
          program_assert_part (line, "\"end\":");
          n_ends++;
        }
    }

  g_assert_cmpuint (n_ends, ==, N + 1);
  g_assert_cmpint (talk_end (talk), ==, 0);
}

static void
test_callback_at_start (void)
{
  Talk *talk = talk_start ("--callbacks %probe start=ask");

  /* A call may stand before the answer that the start is waiting for. */
  talk_send (talk, "greeting");
  talk_expect (talk, "{\"callback\":1,\"path\":\"hello\",\"body\":null}");
  talk_send (talk, "{\"callback\":1,\"reply\":[\"good morning\"]}");
  talk_expect (talk, "{\"id\":1,\"end\":\"[\\\"good morning\\\"]\"}");
  talk_end_input (talk);
  g_assert_cmpint (talk_end (talk), ==, 0);
}

static void
test_callback_command (void)
{
  program_expect (NULL, "--callback upper='tr a-z A-Z' %ask call ask '{\"path\":\"upper\",\"body\":\"abc\"}'",
                  0, "{\"answer\":\"ABC\"}\n");
  program_expect (NULL, "--callback text='echo some words' %ask call ask '{\"path\":\"text\"}'",
                  0, "{\"answer\":\"some words\"}\n");
  program_expect (NULL, "--callback none=true %ask call ask '{\"path\":\"none\"}'", 0, "{\"answer\":null}\n");
  program_expect (NULL, "--callback path='printenv KCP_CALLBACK_PATH' %ask call ask '{\"path\":\"path\"}'",
                  0, "{\"answer\":\"path\"}\n");
  program_expect_error (NULL, "--callback bad='sh -c \"echo oh dear >&2; exit 4\"' %ask "
                              "call ask '{\"path\":\"bad\"}'", 1, "exit code 4: oh dear");
  program_expect_error (NULL, "--callback gone=/nonexistent/command %ask call ask '{\"path\":\"gone\"}'",
                        1, "/nonexistent/command");
  program_expect_error (NULL, "--callback a=true %ask call ask '{\"path\":\"b\"}'", 1, "kcp-host: ");
}

/* The call's end ends the command: it would hold the output open otherwise. */
static void
test_callback_command_cancelled (void)
{
  program_expect_error (NULL, "--timeout 0.1 --callback slow='sleep 1000' %ask "
                              "call ask '{\"path\":\"slow\"}'", 5, "kcp-host: ");
}

/* ---- run ---- */

static void
test_run (void)
{
  program_expect_error (NULL, "%echo run -- sh -c 'echo \"echo 1\"; read a; echo \"$a\" >&2; exit 9'",
                        9, "{\"id\":1,\"end\":1}");

  /* The end of its output is answered with the end of its input. */
  program_expect_error (NULL, "%echo run sh -c 'echo \"echo 2\"; exec >&-; cat >&2'", 0,
                        "{\"id\":1,\"end\":2}");

  /* What was written last is served, though the answer has no reader. */
  program_expect_error (NULL, "%probe run -- echo log", 0, "a message line");

  program_expect_error (NULL, "--callbacks %probe start=ask run -- "
                              "sh -c 'read q; echo \"$q\" >&2; "
                              "echo \"{\\\"callback\\\":1,\\\"reply\\\":1}\"'",
                        0, "{\"callback\":1,\"path\":\"hello\"");
  program_expect_error (NULL, "%probe run -- sh -c 'echo crash; cat >/dev/null'", 4, "SIGKILL");
  program_expect_error (NULL, "%echo run -- sh -c 'kill -9 $$'", 137, "");
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  /* A program that has ended does not read what we send it. */
  signal (SIGPIPE, SIG_IGN);

  g_test_add_func ("/kcp-host/lines/forms", test_forms);
  g_test_add_func ("/kcp-host/lines/stream", test_stream);
  g_test_add_func ("/kcp-host/lines/trace", test_trace);
  g_test_add_func ("/kcp-host/lines/many", test_many);
  g_test_add_func ("/kcp-host/lines/order-and-cancel", test_order_and_cancel);
  g_test_add_func ("/kcp-host/lines/failures", test_failures);
  g_test_add_func ("/kcp-host/lines/remote-error", test_remote_error);
  g_test_add_func ("/kcp-host/lines/bad", test_bad_lines);
  g_test_add_func ("/kcp-host/lines/id-in-use", test_id_in_use);
  g_test_add_func ("/kcp-host/lines/crash", test_crash);
  g_test_add_func ("/kcp-host/callback/lines", test_callback_lines);
  g_test_add_func ("/kcp-host/callback/behind-calls", test_callback_behind_calls);
  g_test_add_func ("/kcp-host/callback/at-start", test_callback_at_start);
  g_test_add_func ("/kcp-host/callback/command", test_callback_command);
  g_test_add_func ("/kcp-host/callback/command-cancelled", test_callback_command_cancelled);
  g_test_add_func ("/kcp-host/run", test_run);

  return g_test_run ();
}
