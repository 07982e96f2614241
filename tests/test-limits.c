/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <kcp.h>

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

/* Real children under resource limits. The plugin's path is the program's argument. */

static const char *plugin;

/* The sanitizer has mapped more before main() than any limit would allow. */
#if defined (__SANITIZE_ADDRESS__) || defined (__SANITIZE_THREAD__)
#define SANITIZED TRUE
#else
#define SANITIZED FALSE
#endif

#define GUARD_SECONDS 120

static gboolean
on_guard (gpointer data)
{
  g_error ("waited %d s in vain", GUARD_SECONDS);
  return G_SOURCE_REMOVE;
}

static void
take_result (GObject      *source,
             GAsyncResult *result,
             gpointer      data)
{
  *(GAsyncResult **) data = g_object_ref (result);
}

static void
wait_for (GAsyncResult **result)
{
  guint guard = g_timeout_add_seconds (GUARD_SECONDS, on_guard, NULL);

  while (*result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (guard);
}

static KcpActor *
spawn (KcpLauncher  *launcher,
       GError      **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  kcp_launcher_spawn_async (launcher, NULL, take_result, &result);
  wait_for (&result);
  return kcp_launcher_spawn_finish (launcher, result, error);
}

static KcpActor *
start (KcpLauncher *launcher)
{
  g_autoptr (GError) error = NULL;
  KcpActor *actor = spawn (launcher, &error);

  g_assert_no_error (error);
  return actor;
}

static JsonObject *
ask_limits (KcpLauncher *launcher)
{
  g_autoptr (KcpActor) actor = start (launcher);
  g_autoptr (KcpMessage) message = kcp_message_new ("limits", NULL);
  g_autoptr (KcpMessage) answer = NULL;
  g_autoptr (GError) error = NULL;
  JsonNode *body;

  answer = kcp_actor_ask (actor, message, NULL, &error);
  g_assert_no_error (error);
  body = kcp_message_get_body (answer, &error);
  g_assert_no_error (error);
  return json_node_dup_object (body);
}

#define assert_pair(object, name, soft, hard)                                                          \
  G_STMT_START                                                                                         \
  {                                                                                                    \
    JsonArray *pair_ = json_object_get_array_member (object, name);                                    \
    g_assert_cmpint (json_array_get_int_element (pair_, 0), ==, soft);                                 \
    g_assert_cmpint (json_array_get_int_element (pair_, 1), ==, hard);                                 \
  }                                                                                                    \
  G_STMT_END

static gint64
hard_limit (int number)
{
  struct rlimit limit;

  g_assert_no_errno (getrlimit (number, &limit));
  return limit.rlim_max == RLIM_INFINITY ? -1 : (gint64) limit.rlim_max;
}

static void
test_defaults (void)
{
  if (g_getenv ("KCP_TEST_VALGRIND"))
    {
      g_test_skip ("valgrind keeps some descriptors for itself, and says so only in this process");
      return;
    }

  g_autoptr (KcpLauncher) launcher = kcp_launcher_new (plugin);
  g_autoptr (JsonObject) limits = ask_limits (launcher);
  struct rlimit files;

  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &files));
  assert_pair (limits, "core", 0, hard_limit (RLIMIT_CORE));
  assert_pair (limits, "files", (gint64) files.rlim_cur, (gint64) files.rlim_max);
  g_assert_cmpint (json_object_get_int_member (limits, "nice"), ==, getpriority (PRIO_PROCESS, 0));
}

static void
test_applied (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_launcher_new (plugin);
  g_autoptr (JsonObject) limits = NULL;
  const gint64 space = G_GINT64_CONSTANT (1) << 40;

  if (!SANITIZED)
    kcp_launcher_set_resource_limit (launcher, KCP_RESOURCE_ADDRESS_SPACE, (guint64) space);
  kcp_launcher_set_resource_limit (launcher, KCP_RESOURCE_CPU_TIME, 1000);
  kcp_launcher_set_resource_limit (launcher, KCP_RESOURCE_OPEN_FILES, 123);
  kcp_launcher_set_resource_limit (launcher, KCP_RESOURCE_CORE_SIZE, 4096);
  kcp_launcher_set_resource_limit (launcher, KCP_RESOURCE_FILE_SIZE, 1000000);
  kcp_launcher_set_nice (launcher, 7);
  kcp_launcher_set_oom_score_adjustment (launcher, 321);
  limits = ask_limits (launcher);

  if (!SANITIZED)
    assert_pair (limits, "address_space", space, space);
  assert_pair (limits, "cpu", 1000, 1002);
  assert_pair (limits, "files", 123, 123);
  assert_pair (limits, "core", 4096, 4096);
  assert_pair (limits, "file_size", 1000000, 1000000);
  g_assert_cmpint (json_object_get_int_member (limits, "nice"), ==, 7);
  g_assert_cmpint (json_object_get_int_member (limits, "oom"), ==, 321);
  g_assert_cmpint (json_object_get_int_member (limits, "files_at_load"), ==, 123);
}

/* The switch and the limit are one setting. */
static void
test_cores (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_launcher_new (plugin);
  gint64 hard = hard_limit (RLIMIT_CORE);

  for (guint i = 0; i < 5; i++)
    {
      g_autoptr (JsonObject) limits = NULL;

      if (i == 0 || i == 2)
        kcp_launcher_set_core_dumps (launcher, TRUE);
      else if (i == 1)
        kcp_launcher_set_resource_limit (launcher, KCP_RESOURCE_CORE_SIZE, 0);
      else if (i == 3)
        kcp_launcher_set_core_dumps (launcher, FALSE);
      else
        kcp_launcher_set_resource_limit (launcher, KCP_RESOURCE_CORE_SIZE, KCP_RESOURCE_UNLIMITED);
      limits = ask_limits (launcher);
      if (i == 1)
        assert_pair (limits, "core", 0, 0);
      else
        assert_pair (limits, "core", i == 3 ? 0 : hard, hard);
    }
}

/* More than the kernel gives to anyone. */
static void
test_refused (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_launcher_new (plugin);
  g_autoptr (KcpActor) actor = NULL;
  g_autoptr (GError) error = NULL;

  kcp_launcher_set_resource_limit (launcher, KCP_RESOURCE_OPEN_FILES, G_GUINT64_CONSTANT (1) << 50);
  actor = spawn (launcher, &error);
  g_assert_null (actor);
  g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT);
  g_assert_nonnull (strstr (error->message, "1125899906842624 open files"));
  g_clear_error (&error);

  kcp_launcher_unset_resource_limit (launcher, KCP_RESOURCE_OPEN_FILES);
  actor = spawn (launcher, &error);
  g_assert_no_error (error);
}

static void
test_out_of_range (void)
{
  const struct
  {
    int nice, oom;
    const char *name;
  } rows[] = { { 20, 0, "nice" }, { -21, 0, "nice" }, { 0, 1001, "OOM" }, { 0, -1001, "OOM" } };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (KcpLauncher) launcher = kcp_launcher_new (plugin);
      g_autoptr (GError) error = NULL;

      kcp_launcher_set_nice (launcher, rows[i].nice);
      kcp_launcher_set_oom_score_adjustment (launcher, rows[i].oom);
      g_assert_null (spawn (launcher, &error));
      g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT);
      g_assert_nonnull (strstr (error->message, rows[i].name));
    }
}

static void
test_open_files (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_launcher_new (plugin);
  g_autoptr (KcpActor) actor = NULL;
  g_autoptr (KcpMessage) message = kcp_message_new ("open", NULL);
  g_autoptr (KcpMessage) answer = NULL;
  g_autoptr (GError) error = NULL;

  kcp_launcher_set_resource_limit (launcher, KCP_RESOURCE_OPEN_FILES, 64);
  actor = start (launcher);
  answer = kcp_actor_ask (actor, message, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (json_node_get_int (kcp_message_get_body (answer, NULL)), ==, 64);
}

/* ---- the report names it ---- */

static KcpExitReport *
end_by (KcpLauncher  *launcher,
        const char   *path,
        char        **summary)
{
  g_autoptr (KcpActor) actor = start (launcher);
  g_autoptr (KcpMessage) message = kcp_message_new (path, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GAsyncResult) asked = NULL;
  g_autoptr (GAsyncResult) stopped = NULL;
  KcpExitReport *report;

  kcp_message_set_timeout (message, KCP_TIMEOUT_NONE);
  kcp_actor_ask_async (actor, message, NULL, take_result, &asked);
  wait_for (&asked);
  g_assert_null (kcp_actor_ask_finish (actor, asked, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED);
  *summary = g_strdup (error->message);

  kcp_actor_stop_async (actor, NULL, take_result, &stopped);
  wait_for (&stopped);
  g_clear_error (&error);
  report = kcp_actor_stop_finish (actor, stopped, &error);
  g_assert_no_error (error);
  return report;
}

static void
assert_end (KcpLauncher *launcher,
            const char  *path,
            int          signal_number,
            const char  *hint)
{
  g_autofree char *summary = NULL;
  g_autoptr (KcpExitReport) report = end_by (launcher, path, &summary);
  g_autoptr (JsonNode) json = kcp_exit_report_to_json (report);

  g_assert_cmpint (kcp_exit_report_get_reason (report), ==, KCP_EXIT_CRASHED);
  if (signal_number != 0)
    g_assert_cmpint (kcp_exit_report_get_signal (report), ==, signal_number);
  if (hint == NULL)
    {
      g_assert_null (kcp_exit_report_get_hint (report));
      return;
    }

  g_assert_nonnull (kcp_exit_report_get_hint (report));
  g_test_message ("%s", summary);
  g_assert_nonnull (strstr (kcp_exit_report_get_hint (report), hint));
  g_assert_nonnull (strstr (kcp_exit_report_get_summary (report), hint));
  g_assert_nonnull (strstr (summary, hint));
  g_assert_cmpstr (json_object_get_string_member (json_node_get_object (json), "hint"), ==,
                   kcp_exit_report_get_hint (report));
}

static void
test_cpu (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_launcher_new (plugin);

  kcp_launcher_set_resource_limit (launcher, KCP_RESOURCE_CPU_TIME, 1);
  assert_end (launcher, "burn", SIGXCPU, "over its CPU limit: 1 s of CPU time");
  assert_end (launcher, "burn-on", SIGKILL, "over its CPU limit: 1 s of CPU time");
}

static void
test_file_size (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_launcher_new (plugin);

  kcp_launcher_set_resource_limit (launcher, KCP_RESOURCE_FILE_SIZE, 100000);
  assert_end (launcher, "write", SIGXFSZ, "over its file size limit: 100000 bytes in a file");
}

static void
test_memory (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_launcher_new (plugin);
  GLogLevelFlags fatal;

  if (SANITIZED)
    {
      g_test_skip ("a sanitizer needs all the address space there is");
      return;
    }

  /* What the child cries out before it falls comes out of this program's log, too. */
  fatal = g_log_set_always_fatal (G_LOG_FATAL_MASK);
  kcp_launcher_set_resource_limit (launcher, KCP_RESOURCE_ADDRESS_SPACE, 512 * 1024 * 1024);
  assert_end (launcher, "allocate", 0, "out of memory, over its limit: 536870912 bytes of address space");
  assert_end (launcher, "abort", SIGABRT, "perhaps out of memory, it has a limit: 536870912 bytes");
  g_log_set_always_fatal (fatal);
}

/* So little that not even the plugin's file can be mapped: the start says so, or dies of it. */
static void
test_memory_at_start (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_launcher_new (plugin);
  g_autoptr (GError) error = NULL;

  if (SANITIZED)
    {
      g_test_skip ("a sanitizer needs all the address space there is");
      return;
    }

  kcp_launcher_set_resource_limit (launcher, KCP_RESOURCE_ADDRESS_SPACE, 4096);
  g_assert_null (spawn (launcher, &error));
  g_assert_nonnull (error);
  g_test_message ("%s", error->message);
  g_assert_true (g_error_matches (error, KCP_ERROR, KCP_ERROR_PLUGIN_LOAD) ||
                 g_error_matches (error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED));
}

/* Nothing is blamed that was not there. */
static void
test_no_limit (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_launcher_new (plugin);

  assert_end (launcher, "die", SIGKILL, "perhaps the kernel was out of memory");
  assert_end (launcher, "abort", SIGABRT, NULL);
}

/* A SIGKILL of our own needs no guess. */
static void
test_killed (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_launcher_new (plugin);
  g_autoptr (KcpActor) actor = start (launcher);
  g_autoptr (GAsyncResult) stopped = NULL;
  g_autoptr (KcpExitReport) report = NULL;

  kcp_actor_kill (actor);
  kcp_actor_stop_async (actor, NULL, take_result, &stopped);
  wait_for (&stopped);
  report = kcp_actor_stop_finish (actor, stopped, NULL);
  g_assert_nonnull (report);
  g_assert_cmpint (kcp_exit_report_get_signal (report), ==, SIGKILL);
  g_assert_null (kcp_exit_report_get_hint (report));
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_assert_cmpint (argc, ==, 2);
  plugin = argv[1];

  g_test_add_func ("/limits/defaults", test_defaults);
  g_test_add_func ("/limits/applied", test_applied);
  g_test_add_func ("/limits/cores", test_cores);
  g_test_add_func ("/limits/refused", test_refused);
  g_test_add_func ("/limits/out-of-range", test_out_of_range);
  g_test_add_func ("/limits/open-files", test_open_files);
  g_test_add_func ("/limits/report/cpu", test_cpu);
  g_test_add_func ("/limits/report/file-size", test_file_size);
  g_test_add_func ("/limits/report/memory", test_memory);
  g_test_add_func ("/limits/report/memory-at-start", test_memory_at_start);
  g_test_add_func ("/limits/report/no-limit", test_no_limit);
  g_test_add_func ("/limits/report/killed", test_killed);

  return g_test_run ();
}
