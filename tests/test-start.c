/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-test.h"

#include <elf.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* From the spawn to READY with the real stub: what is told on the way, and every way in which a
 * plugin's file, table, configuration or start can be at fault. */

/* ---- what goes well ---- */

static void
note_phase (KcpLauncher *launcher,
            const char  *name,
            int          phase,
            GArray      *phases)
{
  g_assert_cmpstr (name, ==, "Ümlaut");
  g_array_append_val (phases, phase);
}

static void
test_phases (void)
{
  static const int expected[] = {
    KCP_PHASE_CONNECTING, KCP_PHASE_HANDSHAKE, KCP_PHASE_OPENING, KCP_PHASE_SYMBOLS, KCP_PHASE_STARTING,
    KCP_PHASE_READY,
  };
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("echo");
  g_autoptr (GArray) phases = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr (GError) error = NULL;
  KcpActor *actor;

  kcp_launcher_set_name (launcher, "Ümlaut");
  g_signal_connect (launcher, "phase", G_CALLBACK (note_phase), phases);
  actor = kcp_test_spawn (launcher, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (phases->data, phases->len * sizeof (int), expected, sizeof expected);
  g_assert_cmpint (kcp_actor_get_state (actor), ==, KCP_ACTOR_READY);
  g_assert_cmpstr (kcp_actor_get_name (actor), ==, "Ümlaut");
  g_assert_cmpstr (kcp_manifest_get_name (kcp_actor_get_manifest (actor)), ==, "echo");
  g_assert_null (kcp_actor_get_exit_report (actor));
  kcp_test_end (actor);
}

/* A launcher is a plan: it serves any number of children at the same time. */
static void
test_many (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("echo");
  KcpActor *actors[8];

  kcp_test_check_leaks (launcher);
  for (gsize i = 0; i < G_N_ELEMENTS (actors); i++)
    {
      g_autoptr (GError) error = NULL;

      actors[i] = kcp_test_spawn (launcher, NULL, &error);
      g_assert_no_error (error);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (actors); i++)
    kcp_test_assert_serves (actors[i]);
  for (gsize i = 0; i < G_N_ELEMENTS (actors); i++)
    kcp_test_end (actors[i]);
}

/* A bare name counts from the working directory, never from the linker's search path. */
static void
test_bare_name (void)
{
  g_autofree char *path = kcp_test_plugin ("echo");
  g_autofree char *directory = g_path_get_dirname (path);
  g_autofree char *before = g_get_current_dir ();
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher_for ("echo.so");
  g_autoptr (GError) error = NULL;
  KcpActor *actor;

  g_assert_cmpint (g_chdir (directory), ==, 0);
  actor = kcp_test_spawn (launcher, NULL, &error);
  g_assert_cmpint (g_chdir (before), ==, 0);
  g_assert_no_error (error);
  kcp_test_assert_serves (actor);
  g_assert_cmpstr (kcp_actor_get_name (actor), ==, "echo");
  kcp_test_end (actor);
}

/* ---- files that are no plugins ---- */

static char *
place (const char *name)
{
  return g_build_filename (kcp_test_directory (), name, NULL);
}

static GError *
fail_to_start (const char *path)
{
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher_for (path);
  GError *error = NULL;

  g_assert_null (kcp_test_spawn (launcher, NULL, &error));
  g_assert_nonnull (error);
  g_test_message ("%s", error->message);
  return error;
}

static void
assert_refused (const char *path,
                const char *reason)
{
  g_autoptr (GError) error = fail_to_start (path);

  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_PLUGIN_LOAD, path);
  kcp_test_assert_part (error->message, "opening");
  kcp_test_assert_part (error->message, reason);
}

static void
test_no_file (void)
{
  assert_refused ("/nowhere/plugin.so", "No such file");
  assert_refused (kcp_test_directory (), "directory");
}

static void
test_no_library (void)
{
  g_autofree char *path = place ("text.so");
  g_autofree char *text = g_strnfill (2000, '#');

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  assert_refused (path, "ELF header");
  g_assert_true (g_file_set_contents (path, "", 0, NULL));
  assert_refused (path, "too short");
}

static void
test_forbidden (void)
{
  g_autofree char *path = place ("forbidden.so");

  if (geteuid () == 0)
    {
      g_test_skip ("root may read everything");
      return;
    }
  g_assert_true (g_file_set_contents (path, "x", 1, NULL));
  g_assert_cmpint (g_chmod (path, 0), ==, 0);
  assert_refused (path, "Permission denied");
}

/* A copy of the echo plugin of which @length bytes are kept (0: all), for machine @machine (0: ours). */
static char *
copy_plugin (const char *name,
             gsize       length,
             guint16     machine)
{
  g_autofree char *from = kcp_test_plugin ("echo");
  g_autofree char *bytes = NULL;
  char *path = place (name);
  gsize size;

  g_assert_true (g_file_get_contents (from, &bytes, &size, NULL));
  if (machine)
    memcpy (bytes + G_STRUCT_OFFSET (Elf64_Ehdr, e_machine), &machine, sizeof machine);
  g_assert_true (g_file_set_contents (path, bytes, (gssize) (length ? MIN (length, size) : size), NULL));
  return path;
}

static void
test_other_machine (void)
{
#if defined (__aarch64__)
  guint16 other = EM_X86_64;
#else
  guint16 other = EM_AARCH64;
#endif
  g_autofree char *path = copy_plugin ("other.so", 0, other);

  assert_refused (path, "machine");
}

/* The header is whole and promises more than there is: the linker maps it, and touching it is a
 * SIGBUS. Where the cut falls elsewhere, the linker itself may find out. */
static void
test_truncated (void)
{
  g_autofree char *path = copy_plugin ("truncated.so", 4096, 0);
  g_autoptr (GError) error = fail_to_start (path);

  if (g_error_matches (error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED))
    {
      kcp_test_assert_part (error->message, "opening");
      kcp_test_assert_part (error->message, "SIG");
      kcp_test_assert_part (error->message, "truncated");
    }
  else
    kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_PLUGIN_LOAD, path);
}

static void
test_cut_anywhere (void)
{
  static const gsize lengths[] = { 1, 16, 64, 512, 2048, 8192, 12288 };

  for (gsize i = 0; i < G_N_ELEMENTS (lengths); i++)
    {
      g_autofree char *path = copy_plugin ("cut.so", lengths[i], 0);
      g_autoptr (GError) error = fail_to_start (path);

      g_assert_true (g_error_matches (error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED) ||
                     g_error_matches (error, KCP_ERROR, KCP_ERROR_PLUGIN_LOAD));
      kcp_test_assert_part (error->message, "opening");
    }
}

/* ---- broken plugins ---- */

typedef struct
{
  const char *plugin;
  KcpError code;
  gboolean names_path;
  const char *parts[3];
} Broken;

static const Broken broken[] = {
  { "bad-undefined-symbol", KCP_ERROR_PLUGIN_LOAD, TRUE, { "kcp_test_nobody_defines_this", "opening" } },
  { "bad-absent-library", KCP_ERROR_PLUGIN_LOAD, TRUE, { "libkcp-test-absent.so", "opening" } },
  { "bad-no-entry", KCP_ERROR_PLUGIN_ABI, TRUE, { "kcp_plugin_v1", "symbols", "KCP_DEFINE_PLUGIN" } },
  { "bad-entry-null", KCP_ERROR_PLUGIN_ABI, TRUE, { "kcp_plugin_v1", "symbols" } },
  { "bad-short-struct", KCP_ERROR_PLUGIN_ABI, TRUE, { "24 bytes", "version 1", "at least" } },
  { "bad-abi-new", KCP_ERROR_PLUGIN_ABI, TRUE, { "version 4711", "version 1" } },
  { "bad-abi-zero", KCP_ERROR_PLUGIN_ABI, TRUE, { "version 0", "version 1" } },
  { "bad-no-name", KCP_ERROR_PLUGIN_ABI, TRUE, { "“name”" } },
  { "bad-no-handlers", KCP_ERROR_PLUGIN_ABI, TRUE, { "“handlers”", "“handle”" } },
  { "bad-duplicate-path", KCP_ERROR_PLUGIN_ABI, FALSE, { "“same”" } },
  { "bad-no-function", KCP_ERROR_PLUGIN_ABI, FALSE, { "“nothing”" } },
  { "bad-entry-aborts", KCP_ERROR_CHILD_CRASHED, FALSE, { "SIGABRT", "symbols" } },
  { "bad-constructor-crashes", KCP_ERROR_CHILD_CRASHED, FALSE, { "SIGSEGV", "opening" } },
  { "bad-constructor-exits", KCP_ERROR_CHILD_EXITED, FALSE, { "exited with code 0", "opening" } },
  { "bad-constructor-explains", KCP_ERROR_CHILD_EXITED, FALSE, { "code 77", "no ünicorn found" } },
};

static void
test_broken (gconstpointer data)
{
  const Broken *what = data;
  g_autofree char *path = kcp_test_bad_plugin (what->plugin);
  g_autoptr (GError) error = fail_to_start (path);

  kcp_test_assert_error (error, KCP_ERROR, (int) what->code, what->names_path ? path : NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (what->parts) && what->parts[i]; i++)
    kcp_test_assert_part (error->message, what->parts[i]);
  kcp_test_assert_part (error->message, what->plugin);
}

/* What a start waits for must be named when it has waited for too long. */
typedef struct
{
  const char *plugin;
  const char *start;
  const char *part;
} Slow;

static const Slow slow[] = {
  { "bad-constructor-loops", NULL, "opening" },
  { "bad-entry-loops", NULL, "symbols" },
  { "misbehave", "hang", "starting" },
  { "misbehave", "hang-blocked", "starting" },
};

static void
test_slow (gconstpointer data)
{
  const Slow *what = data;
  g_autofree char *path = kcp_test_bad_plugin (what->plugin);
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher_for (path);
  g_autoptr (GError) error = NULL;

  if (what->start)
    kcp_launcher_add_config (launcher, "start", what->start);
  kcp_launcher_set_start_timeout (launcher, 1500);
  g_assert_null (kcp_test_spawn (launcher, NULL, &error));
  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_HANDSHAKE_TIMED_OUT, what->part);
  kcp_test_assert_part (error->message, "1500 ms");
}

static void
test_noise (void)
{
  g_autofree char *path = kcp_test_bad_plugin ("bad-constructor-prints");
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher_for (path);
  g_autoptr (GError) error = NULL;
  KcpActor *actor = kcp_test_spawn (launcher, NULL, &error);
  g_autofree char *answer = NULL;

  g_assert_no_error (error);
  answer = kcp_test_ask (actor, "any", NULL, &error);
  g_assert_no_error (error);
  kcp_test_end (actor);
}

/* ---- configuration and start ---- */

static KcpLauncher *
configured (const char *key,
            const char *value)
{
  KcpLauncher *launcher = kcp_test_launcher ("misbehave");

  kcp_launcher_add_config (launcher, key, value);
  return launcher;
}

static GError *
fail_with (KcpLauncher *launcher)
{
  GError *error = NULL;

  g_assert_null (kcp_test_spawn (launcher, NULL, &error));
  return error;
}

static void
test_start_error (void)
{
  g_autoptr (KcpLauncher) launcher = configured ("start", "error");
  g_autoptr (GError) error = fail_with (launcher);

  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_PLUGIN_START, "Grüße “aus”\nzwei Zeilen %s%n");
  g_assert_cmpstr (kcp_error_get_remote_domain (error), ==, "misbehave-error-quark");
  g_assert_cmpint (kcp_error_get_remote_code (error), ==, 42);
  g_assert_cmpstr (kcp_error_get_remote_message (error), ==, "Grüße “aus”\nzwei Zeilen %s%n");
}

/* A plugin cannot pass its own refusal off as a crash. */
static void
test_start_forged (void)
{
  g_autoptr (KcpLauncher) launcher = configured ("start", "forge");
  g_autoptr (GError) error = fail_with (launcher);

  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_PLUGIN_START, "believe me");
}

static void
test_start_mute (void)
{
  g_autoptr (KcpLauncher) in_start = configured ("start", "mute");
  g_autoptr (KcpLauncher) in_configure = configured ("configure", "mute");
  g_autoptr (GError) first = fail_with (in_start);
  g_autoptr (GError) second = fail_with (in_configure);

  kcp_test_assert_error (first, KCP_ERROR, KCP_ERROR_PLUGIN_START, "no reason");
  kcp_test_assert_error (second, KCP_ERROR, KCP_ERROR_PLUGIN_START, "“configure”");
}

static void
test_start_dies (void)
{
  static const char *const keys[] = { "configure", "start" };

  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      g_autoptr (KcpLauncher) crash = configured (keys[i], "segv");
      g_autoptr (KcpLauncher) leave = configured (keys[i], "exit");
      g_autoptr (GError) crashed = fail_with (crash);
      g_autoptr (GError) left = fail_with (leave);

      kcp_test_assert_error (crashed, KCP_ERROR, KCP_ERROR_CHILD_CRASHED, "SIGSEGV");
      kcp_test_assert_part (crashed->message, "starting");
      kcp_test_assert_part (crashed->message, "with segv");
      kcp_test_assert_error (left, KCP_ERROR, KCP_ERROR_CHILD_EXITED, "code 3");
    }
}

static void
test_config_refused (void)
{
  g_autoptr (KcpLauncher) unknown = configured ("unknown", "x");
  g_autoptr (KcpLauncher) none = kcp_test_launcher ("echo");
  g_autoptr (GError) first = fail_with (unknown);
  g_autoptr (GError) second = NULL;

  kcp_test_assert_error (first, KCP_ERROR, KCP_ERROR_PLUGIN_START, "no key “unknown”");
  g_assert_cmpstr (kcp_error_get_remote_domain (first), ==, "g-io-error-quark");
  g_assert_cmpint (kcp_error_get_remote_code (first), ==, G_IO_ERROR_INVALID_ARGUMENT);

  kcp_launcher_add_config (none, "any", "x");
  second = fail_with (none);
  kcp_test_assert_error (second, KCP_ERROR, KCP_ERROR_PLUGIN_START, "“any”");
}

/* More than one message may carry: that is the host's own mistake, and told at once. */
static void
test_config_too_large (void)
{
  g_autofree char *value = g_strnfill (5 * 1024 * 1024, 'v');
  g_autoptr (KcpLauncher) launcher = configured ("other", value);
  g_autoptr (GError) error = NULL;

  kcp_launcher_set_frame_limit (launcher, 1024 * 1024);
  error = fail_with (launcher);
  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_TOO_LARGE, "configuration");
}

/* ---- arguments ---- */

static void
test_arguments (void)
{
  static const char bad[] = "\xff\xfe";
  g_autoptr (KcpLauncher) name = kcp_test_launcher ("echo");
  g_autoptr (KcpLauncher) key = kcp_test_launcher ("echo");
  g_autoptr (KcpLauncher) stub = kcp_test_launcher ("echo");
  g_autoptr (KcpLauncher) wrapper = kcp_test_launcher ("echo");
  g_autoptr (KcpLauncher) directory = kcp_test_launcher ("echo");
  static const char *const nothing[] = { "/nowhere/gdb", "--args", NULL };
  GError *error;

  kcp_launcher_set_name (name, bad);
  error = fail_with (name);
  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "name");
  g_clear_error (&error);

  kcp_launcher_add_config (key, bad, "x");
  error = fail_with (key);
  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "key");
  g_clear_error (&error);

  /* Under valgrind a spawn that fails looks like one that has worked, to GLib and so to us. */
  if (g_getenv ("KCP_TEST_VALGRIND"))
    {
      g_test_skip ("valgrind starts programs that are not there");
      return;
    }

  kcp_launcher_set_stub (stub, "/nowhere/kcp-child");
  error = fail_with (stub);
  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_SPAWN_FAILED, "/nowhere/kcp-child");
  kcp_test_assert_part (error->message, "KCP_STUB");
  g_clear_error (&error);

  kcp_launcher_set_wrapper (wrapper, nothing);
  error = fail_with (wrapper);
  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_SPAWN_FAILED, "/nowhere/gdb");
  g_clear_error (&error);

  kcp_launcher_set_working_directory (directory, "/nowhere/at/all");
  error = fail_with (directory);
  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "/nowhere/at/all");
  g_clear_error (&error);
}

/* Not the child itself but what it starts: any process of this user that knows the token. */
static void
test_wrapper (void)
{
  static const char *const argv[] = { "sh", "-c", "\"$0\"; exit $?", NULL };
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("echo");
  g_autoptr (GError) error = NULL;
  KcpActor *actor;

  kcp_launcher_set_wrapper (launcher, argv);
  actor = kcp_test_spawn (launcher, NULL, &error);
  g_assert_no_error (error);
  kcp_test_assert_serves (actor);
  kcp_test_end (actor);
}

/* Opened and checked, and not told to start: "start" of this mode would fail. */
static void
test_describe_only (void)
{
  g_autofree char *path = kcp_test_bad_plugin ("misbehave");
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher_for (path);
  g_autoptr (KcpMessage) message = kcp_message_new ("echo", NULL);
  g_autoptr (GError) error = NULL;
  KcpActor *actor;

  kcp_launcher_add_config (launcher, "no-such-key", "x");
  kcp_launcher_set_describe_only (launcher, TRUE);
  actor = kcp_test_spawn (launcher, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (kcp_manifest_get_name (kcp_actor_get_manifest (actor)), ==, "misbehave");

  g_assert_null (kcp_actor_ask (actor, message, NULL, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_STOPPING);
  kcp_test_end (actor);
}

int
main (int    argc,
      char **argv)
{
  kcp_test_init (&argc, &argv);
  kcp_test_add ("/start/phases", test_phases);
  kcp_test_add ("/start/many", test_many);
  kcp_test_add ("/start/bare-name", test_bare_name);
  kcp_test_add ("/start/file/none", test_no_file);
  kcp_test_add ("/start/file/no-library", test_no_library);
  kcp_test_add ("/start/file/forbidden", test_forbidden);
  kcp_test_add ("/start/file/other-machine", test_other_machine);
  kcp_test_add ("/start/file/truncated", test_truncated);
  kcp_test_add ("/start/file/cut-anywhere", test_cut_anywhere);
  for (gsize i = 0; i < G_N_ELEMENTS (broken); i++)
    {
      g_autofree char *path = g_strdup_printf ("/start/broken/%s", broken[i].plugin);

      kcp_test_add_data (path, &broken[i], test_broken);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (slow); i++)
    {
      g_autofree char *path = g_strdup_printf ("/start/slow/%s-%s", slow[i].plugin,
                                               slow[i].start ? slow[i].start : "");

      kcp_test_add_data (path, &slow[i], test_slow);
    }
  kcp_test_add ("/start/noise", test_noise);
  kcp_test_add ("/start/error", test_start_error);
  kcp_test_add ("/start/error/forged", test_start_forged);
  kcp_test_add ("/start/error/mute", test_start_mute);
  kcp_test_add ("/start/error/dies", test_start_dies);
  kcp_test_add ("/start/config/refused", test_config_refused);
  kcp_test_add ("/start/config/too-large", test_config_too_large);
  kcp_test_add ("/start/arguments", test_arguments);
  kcp_test_add ("/start/wrapper", test_wrapper);
  kcp_test_add ("/start/describe-only", test_describe_only);
  return kcp_test_run ();
}
