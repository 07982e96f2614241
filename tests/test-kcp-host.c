/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The program kcp-host: its command line, its commands but for JSON Lines, its exit status. */
#include "host-program.h"

#include <glib/gstdio.h>
#include <string.h>

/* A directory of the test's own, and the one it came from. */
typedef struct
{
  char *directory;
  char *before;
} Place;

static void
place_enter (Place         *place,
             gconstpointer  data)
{
  g_autoptr (GError) error = NULL;

  place->before = g_get_current_dir ();
  place->directory = g_dir_make_tmp ("kcp-host-XXXXXX", &error);
  g_assert_no_error (error);
  g_assert_cmpint (g_chdir (place->directory), ==, 0);
}

static void
place_leave (Place         *place,
             gconstpointer  data)
{
  g_autoptr (GDir) directory = g_dir_open (".", 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (directory)))
    g_assert_cmpint (g_unlink (name), ==, 0);
  g_assert_cmpint (g_chdir (place->before), ==, 0);
  g_assert_cmpint (g_rmdir (place->directory), ==, 0);
  g_free (place->before);
  g_free (place->directory);
}

static void
write_file (const char *name,
            const char *content)
{
  g_autoptr (GError) error = NULL;

  g_file_set_contents (name, content, -1, &error);
  g_assert_no_error (error);
}

/* ---- call ---- */

static void
test_call (void)
{
  program_expect (NULL, "%echo call echo '{\"a\": [1, 2.5, \"ü\"]}'", 0, "{\"a\":[1,2.5,\"ü\"]}\n");
  program_expect (NULL, "%echo call echo 7", 0, "7\n");

  /* No body is null, and null as an end is silent. */
  program_expect (NULL, "%echo call echo", 0, "");
  program_expect (NULL, "%echo call echo null", 0, "");
}

static void
test_call_stream (void)
{
  program_expect (NULL, "%count call count '{\"to\": 3}'", 0,
                  "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"count\":3}\n");
}

static void
test_call_input (Place         *place,
                 gconstpointer  data)
{
  write_file ("body.json", " [ 1,\n 2 ]\n");
  program_expect (NULL, "%echo call echo @body.json", 0, "[1,2]\n");
  program_expect ("\"from stdin\"\n", "%echo call echo -", 0, "\"from stdin\"\n");
  program_expect_error ("{", "%echo call echo -", 2, "not JSON");
  program_expect_error (NULL, "%echo call echo @missing.json", 2, "missing.json");
}

static void
test_call_bytes (void)
{
  g_autoptr (Program) program = program_run (NULL, NULL, "%probe call bytes");

  g_assert_cmpint (program->status, ==, 0);
  g_assert_cmpmem (program->out, program->out_length, "\0\1\2\n", 4);
}

static void
test_call_color (void)
{
  g_autoptr (Program) program = program_run (NULL, NULL, "--color=always %probe call escape");

  g_assert_cmpint (program->status, ==, 0);
  g_assert_cmpstr (program->out, ==, "\033[32m\"\\u001b[31mred\\u009bm\"\033[0m\n");
}

/* The table of the manual page. */
static void
test_exit_status (void)
{
  program_expect (NULL, "%echo call echo 1", 0, "1\n");
  program_expect_error (NULL, "%echo call nothing", 1, "describe");
  program_expect_error (NULL, "%probe call fail", 1, "as you wish");
  program_expect_error (NULL, "%probe call broken", 1, "kcp-host: ");
  program_expect_error (NULL, "--nonsense %echo", 2, "--nonsense");
  program_expect_error (NULL, "--quiet", 2, "--help");
  program_expect_error (NULL, "./missing.so describe", 3, "./missing.so");
  program_expect_error (NULL, "/bin/sh describe", 3, "/bin/sh");
  program_expect_error (NULL, "%probe start=fail check", 3, "the probe does not want to");
  program_expect_error (NULL, "--stub /bin/true %echo describe", 3, "kcp-host: ");
  program_expect_error (NULL, "%probe start=crash check", 4, "SIGKILL");
  program_expect_error (NULL, "%probe call crash", 4, "SIGKILL");
  program_expect_error (NULL, "%probe call exit", 4, "3");
  program_expect_error (NULL, "--timeout 0.05 %probe call hang", 5, "--timeout");
  program_expect_error (NULL, "%echo run -- ./missing", 127, "./missing");
}

static void
test_crash_tail (void)
{
  g_autoptr (Program) program = program_run (NULL, NULL, "--quiet %probe call crash");

  program_assert_part (program->err, "the probe falls");
}

static void
test_usage (void)
{
  program_expect_error (NULL, "%echo dance", 2, "dance");
  program_expect_error (NULL, "%echo --quiet", 2, "before the plugin");
  program_expect_error (NULL, "%echo call", 2, "path");
  program_expect_error (NULL, "%echo call echo 1 2", 2, "one body");
  program_expect_error (NULL, "%echo call echo '{'", 2, "not JSON");
  program_expect_error (NULL, "%echo call ''", 2, "empty");
  program_expect_error (NULL, "%echo describe now", 2, "now");
  program_expect_error (NULL, "%echo check now", 2, "now");
  program_expect_error (NULL, "%echo run", 2, "run");
  program_expect_error (NULL, "--timeout soon %echo", 2, "soon");
  program_expect_error (NULL, "--timeout -1 %echo", 2, "-1");
  program_expect_error (NULL, "--timeout nan %echo", 2, "nan");
  program_expect_error (NULL, "--log-level loud %echo", 2, "loud");
  program_expect_error (NULL, "--color blue %echo", 2, "blue");
  program_expect_error (NULL, "--frame-limit many %echo", 2, "many");
  program_expect_error (NULL, "--env nothing %echo", 2, "nothing");
  program_expect_error (NULL, "--wrapper \"'\" %echo", 2, "--wrapper");
  program_expect_error (NULL, "--callback nothing %echo", 2, "nothing");
  program_expect_error (NULL, "--callbacks %echo call echo", 2, "--callbacks");
}

/* ---- which plugin ---- */

static void
test_plugin_in_directory (Place         *place,
                          gconstpointer  data)
{
  g_autofree char *echo = program_plugin ("echo");
  g_autoptr (GFile) link = g_file_new_for_path ("echo.so");
  g_autoptr (GSubprocessLauncher) launcher = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (Program) bare = NULL;
  g_autoptr (Program) named = NULL;
  g_autofree char *absolute = g_canonicalize_filename (echo, place->before);
  g_autofree char *path = NULL;

  g_file_make_symbolic_link (link, absolute, NULL, &error);
  g_assert_no_error (error);

  bare = program_run (NULL, NULL, "echo.so call echo 1");
  g_assert_cmpstr (bare->out, ==, "1\n");

  /* Without “.so” the current directory is not searched. */
  program_expect_error (NULL, "echo call echo 1", 3, "KCP_PLUGIN_PATH");
  program_expect_error (NULL, "other.so call echo 1", 3, place->directory);

  path = g_strdup_printf ("/nonexistent::%s", place->directory);
  launcher = program_launcher (0);
  g_subprocess_launcher_setenv (launcher, "KCP_PLUGIN_PATH", path, TRUE);
  named = program_run (launcher, NULL, "echo call echo 2");
  g_assert_cmpstr (named->out, ==, "2\n");
}

/* ---- configuration ---- */

static void
test_settings (Place         *place,
               gconstpointer  data)
{
  write_file ("secret", "from a file\n");
  write_file ("config", "# a comment\n\n  a=1\nb = x\nc=@secret\nd= x \n");

  program_expect (NULL, "%probe a=1 b= c=@secret d=@@e f=g=h call settings", 0,
                  "\"a=1\\nb=\\nc=from a file\\nd=@e\\nf=g=h\\n\"\n");
  program_expect_error (NULL, "--config config %probe call settings", 2, "line 4");

  write_file ("config", "# a comment\r\n\n  a=1\r\nc=@secret\nd= x \n");
  program_expect (NULL, "--config config %probe e=2 call settings", 0,
                  "\"a=1\\nc=from a file\\nd= x \\ne=2\\n\"\n");

  program_expect_error (NULL, "%probe a=@missing call settings", 2, "missing");
  program_expect_error (NULL, "--config missing %probe call settings", 2, "missing");
  program_expect_error (NULL, "%echo a=1 call echo", 3, "a");
}

static void
test_child (Place         *place,
            gconstpointer  data)
{
  g_autofree char *directory = g_strdup_printf ("-C %s %%probe call directory", place->directory);
  g_autoptr (Program) program = program_run (NULL, NULL, directory);
  g_autoptr (GSubprocessLauncher) launcher = NULL;
  g_autoptr (Program) inherited = NULL;
  g_autoptr (Program) withheld = NULL;

  program_assert_part (program->out, place->directory);
  program_expect (NULL, "--env PROBE=a=b %probe call env '\"PROBE\"'", 0, "\"a=b\"\n");
  program_expect (NULL, "--unset-env LC_ALL %probe call env '\"LC_ALL\"'", 0, "");
  program_expect (NULL, "--wrapper '/usr/bin/env WRAPPED=yes' %probe call env '\"WRAPPED\"'", 0, "\"yes\"\n");

  launcher = program_launcher (0);
  g_subprocess_launcher_setenv (launcher, "OWN_VARIABLE", "1", TRUE);
  withheld = program_run (launcher, NULL, "%probe call env '\"OWN_VARIABLE\"'");
  g_assert_cmpstr (withheld->out, ==, "");
  inherited = program_run (launcher, NULL, "--inherit-env %probe call env '\"OWN_VARIABLE\"'");
  g_assert_cmpstr (inherited->out, ==, "\"1\"\n");
}

static void
test_frame_limit (void)
{
  g_autofree char *letters = g_strnfill (100000, 'x');
  g_autofree char *body = g_strdup_printf ("\"%s\"", letters);
  g_autofree char *answer = g_strdup_printf ("%s\n", body);

  program_expect (body, "%echo call echo -", 0, answer);
  program_expect_error (body, "--frame-limit 65536 %echo call echo -", 1, "--frame-limit");
}

/* ---- logs ---- */

static void
test_log (void)
{
  g_autoptr (Program) normal = program_run (NULL, NULL, "%probe call log");
  g_autoptr (Program) debug = program_run (NULL, NULL, "--log-level debug %probe call log");
  g_autoptr (Program) quiet = program_run (NULL, NULL, "--quiet %probe call log");

  g_assert_cmpint (normal->status, ==, 0);
  g_assert_cmpstr (normal->out, ==, "");
  program_assert_part (normal->err, "a message line");
  g_assert_null (strstr (normal->err, "a debug line"));

  g_assert_cmpstr (debug->out, ==, "");
  program_assert_part (debug->err, "a message line");
  program_assert_part (debug->err, "a debug line");

  g_assert_cmpstr (quiet->err, ==, "");
}

/* ---- describe, check, help ---- */

static void
test_describe (void)
{
  g_autoptr (Program) json = NULL;

  program_expect (NULL, "%probe describe", 0,
                  "probe 1\n"
                  "Shows what the host did\n"
                  "\n"
                  "Configuration\n"
                  "  start=fail|crash|ask  what happens when it starts\n"
                  "  KEY=VALUE             kept to be shown by “settings”\n"
                  "\n"
                  "Paths\n"
                  "  settings   what it was configured with\n"
                  "  greeting   what the host said during the start\n"
                  "  env        a variable of its environment\n"
                  "  directory  its working directory\n"
                  "  trace      the trace id of the call\n"
                  "  log        logs a debug line and a message\n"
                  "  bytes      answers with bytes that are no JSON\n"
                  "  broken     answers with broken JSON\n"
                  "  escape     answers with what a terminal would act on\n"
                  "  fail       answers with an error of its own domain\n"
                  "  hang       does not answer\n"
                  "  crash      is ended by a signal\n"
                  "  exit       exits with 3\n");

  json = program_run (NULL, NULL, "%echo describe --json");
  g_assert_cmpint (json->status, ==, 0);
  g_assert_true (g_str_has_prefix (json->out, "{"));
  g_assert_true (g_str_has_suffix (json->out, "}\n"));
  program_assert_part (json->out, "\"name\":\"echo\"");
}

static void
test_check (void)
{
  g_autoptr (Program) fine = program_run (NULL, NULL, "%echo check");
  g_autoptr (Program) bad = program_run (NULL, NULL, "%probe start=fail check");
  const char *const phases[] = {
    "spawning", "connecting", "handshake", "opening", "symbols", "starting", "ready", "stopping",
  };
  const char *at = fine->out;

  g_assert_cmpint (fine->status, ==, 0);
  for (gsize i = 0; i < G_N_ELEMENTS (phases); i++)
    {
      at = strstr (at, phases[i]);
      if (at == NULL)
        g_error ("“%s” is missing or out of order: %s", phases[i], fine->out);
    }
  g_assert_true (g_str_has_suffix (fine->out, "\nok\n"));

  g_assert_cmpint (bad->status, ==, 3);
  program_assert_part (bad->out, "starting");
  g_assert_true (g_str_has_suffix (bad->out, "failed\n"));
  program_assert_part (bad->err, "the probe does not want to");
}

static void
test_help (void)
{
  g_autoptr (Program) help = program_run (NULL, NULL, "--help");
  g_autoptr (Program) version = program_run (NULL, NULL, "--version");

  g_assert_cmpint (help->status, ==, 0);
  program_assert_part (help->out, "kcp-host [OPTION…] PLUGIN [KEY=VALUE…] [COMMAND [ARG…]]");
  program_assert_part (help->out, "Examples:");
  g_assert_cmpstr (help->err, ==, "");

  g_assert_cmpint (version->status, ==, 0);
  g_assert_true (g_str_has_prefix (version->out, "kcp-host "));
}

/* ---- another language ---- */

/* glibc translates in every locale but “C” itself, and C.UTF-8 comes with it. */
static void
test_german (void)
{
  g_autoptr (GSubprocessLauncher) launcher = program_launcher (0);
  g_autoptr (Program) help = NULL;
  g_autoptr (Program) failed = NULL;
  g_autoptr (Program) lines = NULL;

  if (g_getenv ("KCP_LOCALE_DIR") == NULL)
    {
      g_test_skip ("KCP_LOCALE_DIR does not say where the translations are");
      return;
    }

  g_subprocess_launcher_setenv (launcher, "LANGUAGE", "de", TRUE);
  help = program_run (launcher, NULL, "--help");
  if (strstr (help->out, "Beispiele:") == NULL)
    g_error ("this is no German: %s", help->out);

  failed = program_run (launcher, NULL, "./fehlt.so describe");
  g_assert_cmpint (failed->status, ==, 3);
  program_assert_part (failed->err, "Es gibt keine Plugin-Datei ./fehlt.so");

  /* What scripts read is never translated. */
  lines = program_run (launcher, "[\n", "%echo");
  g_assert_cmpint (lines->status, ==, 1);
  program_assert_part (lines->out, "\"code\":\"unknown-path\"");
}

/* Without a UTF-8 locale nothing breaks; the closest characters there are stand in. */
static void
test_plain_locale (void)
{
  g_autoptr (GSubprocessLauncher) launcher = program_launcher (0);
  g_autoptr (Program) help = NULL;
  g_autoptr (Program) failed = NULL;
  g_autoptr (Program) call = NULL;

  g_subprocess_launcher_setenv (launcher, "LC_ALL", "C", TRUE);
  help = program_run (launcher, NULL, "--help");
  g_assert_cmpint (help->status, ==, 0);
  program_assert_part (help->out, "PLUGIN [KEY=VALUE...]");

  failed = program_run (launcher, NULL, "%echo dance");
  program_assert_part (failed->err, "there is no command \"dance\"");

  call = program_run (launcher, NULL, "%echo call echo '\"ü\"'");
  g_assert_cmpstr (call->out, ==, "\"ü\"\n");
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/kcp-host/call", test_call);
  g_test_add_func ("/kcp-host/call/stream", test_call_stream);
  g_test_add ("/kcp-host/call/input", Place, NULL, place_enter, test_call_input, place_leave);
  g_test_add_func ("/kcp-host/call/bytes", test_call_bytes);
  g_test_add_func ("/kcp-host/call/color", test_call_color);
  g_test_add_func ("/kcp-host/exit-status", test_exit_status);
  g_test_add_func ("/kcp-host/crash-tail", test_crash_tail);
  g_test_add_func ("/kcp-host/usage", test_usage);
  g_test_add ("/kcp-host/plugin", Place, NULL, place_enter, test_plugin_in_directory, place_leave);
  g_test_add ("/kcp-host/settings", Place, NULL, place_enter, test_settings, place_leave);
  g_test_add ("/kcp-host/child", Place, NULL, place_enter, test_child, place_leave);
  g_test_add_func ("/kcp-host/frame-limit", test_frame_limit);
  g_test_add_func ("/kcp-host/log", test_log);
  g_test_add_func ("/kcp-host/describe", test_describe);
  g_test_add_func ("/kcp-host/check", test_check);
  g_test_add_func ("/kcp-host/help", test_help);
  g_test_add_func ("/kcp-host/german", test_german);
  g_test_add_func ("/kcp-host/plain-locale", test_plain_locale);

  return g_test_run ();
}
