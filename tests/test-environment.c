/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-test.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a child is given, and what it is kept from: variables, arguments, descriptors, signals,
 * process group, directory, core limit. */

static JsonNode *
look (KcpLauncher *launcher,
      const char  *path)
{
  g_autoptr (GError) error = NULL;
  KcpActor *actor = kcp_test_spawn (launcher, NULL, &error);
  JsonNode *node;

  g_assert_no_error (error);
  node = kcp_test_ask_node (actor, path, NULL);
  g_assert_true (JSON_NODE_HOLDS_OBJECT (node));
  if (strcmp (path, "process") == 0)
    g_assert_cmpint (json_object_get_int_member (json_node_get_object (node), "pid"), ==,
                     kcp_actor_get_pid (actor));
  kcp_test_end (actor);
  return node;
}

static JsonObject *
variables_of (JsonNode *node)
{
  return json_object_get_object_member (json_node_get_object (node), "variables");
}

static const char *
value_of (JsonNode   *node,
          const char *name)
{
  return json_object_get_string_member_with_default (variables_of (node), name, NULL);
}

static const char *
text_of (JsonNode   *node,
         const char *member)
{
  return json_object_get_string_member (json_node_get_object (node), member);
}

/* ---- variables ---- */

static void
set_host_environment (void)
{
  g_setenv ("A_SECRET", "swordfish-secret", TRUE);
  g_setenv ("AWS_TOKEN", "swordfish-token", TRUE);
  g_setenv ("PATHOLOGY", "not PATH", TRUE);
  g_setenv ("LC_TIME", "C", TRUE);
  g_setenv ("LC_SOMETHING", "inherited", TRUE);
  g_setenv ("TZ", "UTC", TRUE);
  g_setenv ("XDG_SOMETHING", "inherited", TRUE);
  g_setenv ("WAYLAND_DISPLAY", "wayland-7", TRUE);
}

static void
clear_host_environment (void)
{
  static const char *const names[] = {
    "A_SECRET", "AWS_TOKEN", "PATHOLOGY", "LC_TIME", "LC_SOMETHING", "TZ", "XDG_SOMETHING", "WAYLAND_DISPLAY",
    "KCP_TOKEN", "KCP_ACTOR_NAME",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    g_unsetenv (names[i]);
}

static void
test_allow_list (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("misbehave");
  g_autoptr (JsonNode) node = NULL;

  set_host_environment ();
  node = look (launcher, "environment");
  clear_host_environment ();

  g_assert_null (value_of (node, "A_SECRET"));
  g_assert_null (value_of (node, "AWS_TOKEN"));
  g_assert_null (value_of (node, "PATHOLOGY"));
  g_assert_null (strstr (text_of (node, "environ"), "swordfish"));
  g_assert_cmpstr (value_of (node, "LC_TIME"), ==, "C");
  g_assert_cmpstr (value_of (node, "LC_SOMETHING"), ==, "inherited");
  g_assert_cmpstr (value_of (node, "XDG_SOMETHING"), ==, "inherited");
  g_assert_cmpstr (value_of (node, "WAYLAND_DISPLAY"), ==, "wayland-7");
  g_assert_cmpstr (value_of (node, "PATH"), ==, g_getenv ("PATH"));
}

static void
test_changes (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("misbehave");
  g_autoptr (JsonNode) node = NULL;

  set_host_environment ();
  kcp_launcher_setenv (launcher, "TZ", "Mars/Olympus");
  kcp_launcher_setenv (launcher, "OWN", "with = and\nnewline ü");
  kcp_launcher_setenv (launcher, "EMPTY", "");
  kcp_launcher_setenv (launcher, "TWICE", "1");
  kcp_launcher_setenv (launcher, "TWICE", "2");
  kcp_launcher_unsetenv (launcher, "LC_TIME");
  kcp_launcher_setenv (launcher, "GONE", "1");
  kcp_launcher_unsetenv (launcher, "GONE");
  node = look (launcher, "environment");
  clear_host_environment ();

  g_assert_cmpstr (value_of (node, "TZ"), ==, "Mars/Olympus");
  g_assert_cmpstr (value_of (node, "OWN"), ==, "with = and\nnewline ü");
  g_assert_cmpstr (value_of (node, "EMPTY"), ==, "");
  g_assert_cmpstr (value_of (node, "TWICE"), ==, "2");
  g_assert_null (value_of (node, "LC_TIME"));
  g_assert_null (value_of (node, "GONE"));
}

static void
test_inherit_all (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("misbehave");
  g_autoptr (JsonNode) node = NULL;

  set_host_environment ();
  kcp_launcher_set_inherit_environ (launcher, TRUE);
  kcp_launcher_unsetenv (launcher, "AWS_TOKEN");
  node = look (launcher, "environment");
  clear_host_environment ();

  g_assert_cmpstr (value_of (node, "A_SECRET"), ==, "swordfish-secret");
  g_assert_cmpstr (value_of (node, "PATHOLOGY"), ==, "not PATH");
  g_assert_null (value_of (node, "AWS_TOKEN"));
}

/* How the child was met is over, and nobody's business, before the plugin is opened. Nor can who
 * sets variables get in the way of it. */
static void
test_handshake_is_gone (void)
{
  static const char *const names[] = {
    "KCP_REQUEST_SOCKET", "KCP_CALLBACK_SOCKET", "KCP_ACTOR_NAME", "KCP_TOKEN",
  };

  g_autofree char *sockets = g_strconcat (kcp_test_runtime_directory (), "/kcp-", NULL);

  for (int inherit = 0; inherit < 2; inherit++)
    {
      g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("misbehave");
      g_autoptr (JsonNode) node = NULL;

      g_setenv ("KCP_TOKEN", "of-somebody-else", TRUE);
      g_setenv ("KCP_ACTOR_NAME", "somebody-else", TRUE);
      kcp_launcher_set_inherit_environ (launcher, inherit);
      kcp_launcher_setenv (launcher, "KCP_TOKEN", "mine");
      kcp_launcher_setenv (launcher, "KCP_REQUEST_SOCKET", "/tmp/mine");
      kcp_launcher_unsetenv (launcher, "KCP_CALLBACK_SOCKET");
      kcp_launcher_set_name (launcher, "name-to-look-for");
      node = look (launcher, "environment");
      clear_host_environment ();

      for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
        {
          g_assert_null (value_of (node, names[i]));
          g_assert_null (strstr (text_of (node, "environ"), names[i]));
        }
      g_assert_null (strstr (text_of (node, "environ"), sockets));
      g_assert_null (strstr (text_of (node, "environ"), "name-to-look-for"));
    }
}

static void
test_arguments (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("misbehave");
  g_autofree char *stub = g_canonicalize_filename (g_getenv ("KCP_STUB"), NULL);
  g_autofree char *expected = g_strconcat (stub, "\n", NULL);
  g_autoptr (JsonNode) node = NULL;

  kcp_launcher_add_config (launcher, "password", "swordfish-config");
  node = look (launcher, "environment");
  g_assert_cmpstr (text_of (node, "cmdline"), ==, expected);
  g_assert_null (strstr (text_of (node, "environ"), "swordfish"));
}

/* ---- the process ---- */

static void
assert_signals (JsonObject *object,
                const char *member,
                int         only)
{
  JsonArray *array = json_object_get_array_member (object, member);

  if (only == 0)
    g_assert_cmpuint (json_array_get_length (array), ==, 0);
  else
    {
      g_assert_cmpuint (json_array_get_length (array), ==, 1);
      g_assert_cmpint (json_array_get_int_element (array, 0), ==, only);
    }
}

/* The host blocks and ignores signals, as hosts do in threads and for their own reasons. */
static void
test_process (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("misbehave");
  g_autoptr (JsonNode) node = NULL;
  sigset_t block, before;
  void (*handler) (int) = signal (SIGTERM, SIG_IGN);
  JsonObject *object;

  sigemptyset (&block);
  sigaddset (&block, SIGTERM);
  sigaddset (&block, SIGUSR1);
  pthread_sigmask (SIG_BLOCK, &block, &before);
  node = look (launcher, "process");
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  signal (SIGTERM, handler);

  object = json_node_get_object (node);
  g_assert_cmpint (json_object_get_int_member (object, "group"), ==, json_object_get_int_member (object, "pid"));
  assert_signals (object, "blocked", 0);
  assert_signals (object, "handled", SIGPIPE);
  g_assert_false (json_object_get_boolean_member (object, "cores"));
}

static void
test_cores (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("misbehave");
  g_autoptr (JsonNode) node = NULL;
  JsonObject *object;

  kcp_launcher_set_core_dumps (launcher, TRUE);
  node = look (launcher, "process");
  object = json_node_get_object (node);
  g_assert_true (json_object_get_boolean_member (object, "cores") ==
                 json_object_get_boolean_member (object, "cores_possible"));
}

static void
test_directory (void)
{
  g_autofree char *here = g_get_current_dir ();
  g_autofree char *there = g_build_filename (kcp_test_directory (), "wörk", NULL);
  g_autofree char *plugin = kcp_test_bad_plugin ("misbehave");
  g_autoptr (KcpLauncher) plain = kcp_test_launcher ("misbehave");
  g_autoptr (KcpLauncher) moved = kcp_test_launcher_for (plugin);
  g_autoptr (JsonNode) first = NULL, second = NULL;

  first = look (plain, "process");
  g_assert_cmpstr (text_of (first, "directory"), ==, here);

  g_assert_cmpint (g_mkdir (there, 0700), ==, 0);
  kcp_launcher_set_working_directory (moved, there);
  second = look (moved, "process");
  g_assert_cmpstr (text_of (second, "directory"), ==, there);
}

/* 0, 1 and 2, and then only what the child itself has opened: two sockets and what its main loop and
 * its watchdog need. Nothing of ours, close-on-exec or not. */
static void
test_descriptors (void)
{
  g_autofree char *path = g_build_filename (kcp_test_directory (), "open-in-host", NULL);
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("misbehave");
  g_autoptr (JsonNode) node = NULL;
  JsonObject *descriptors;
  g_autoptr (GList) names = NULL;
  int file = open (path, O_RDWR | O_CREAT, 0600);
  int high = fcntl (file, F_DUPFD, 200);
  KcpActor *other = kcp_test_misbehave (NULL, NULL);

  g_assert_cmpint (high, >=, 200);
  node = look (launcher, "process");
  close (file);
  close (high);
  kcp_test_end (other);

  descriptors = json_object_get_object_member (json_node_get_object (node), "descriptors");
  g_assert_cmpstr (json_object_get_string_member (descriptors, "0"), ==, "/dev/null");
  g_assert_true (g_str_has_prefix (json_object_get_string_member (descriptors, "1"), "pipe:"));
  g_assert_true (g_str_has_prefix (json_object_get_string_member (descriptors, "2"), "pipe:"));

  names = json_object_get_members (descriptors);
  for (GList *l = names; l; l = l->next)
    {
      const char *target = json_object_get_string_member (descriptors, l->data);

      g_test_message ("%s → %s", (char *) l->data, target);
      g_assert_cmpstr (target, !=, path);
      if (atoi (l->data) > 2)
        g_assert_true (g_str_has_prefix (target, "socket:") || g_str_has_prefix (target, "anon_inode:"));
    }
}

/* What is open in one child is not open in the next, which would keep its sockets from ending. */
static void
test_no_cross_inheritance (void)
{
  KcpActor *first = kcp_test_misbehave (NULL, NULL);
  KcpActor *second = kcp_test_misbehave (NULL, NULL);
  g_autoptr (KcpExitReport) report = NULL;

  g_assert_cmpint (kill (kcp_actor_get_pid (first), SIGKILL), ==, 0);
  report = kcp_test_await_exit (first);
  g_object_unref (first);
  kcp_test_assert_serves (second);
  kcp_test_end (second);
}

int
main (int    argc,
      char **argv)
{
  kcp_test_init (&argc, &argv);
  kcp_test_add ("/environment/allow-list", test_allow_list);
  kcp_test_add ("/environment/changes", test_changes);
  kcp_test_add ("/environment/inherit-all", test_inherit_all);
  kcp_test_add ("/environment/handshake-is-gone", test_handshake_is_gone);
  kcp_test_add ("/environment/arguments", test_arguments);
  kcp_test_add ("/environment/process", test_process);
  kcp_test_add ("/environment/cores", test_cores);
  kcp_test_add ("/environment/directory", test_directory);
  kcp_test_add ("/environment/descriptors", test_descriptors);
  kcp_test_add ("/environment/no-cross-inheritance", test_no_cross_inheritance);
  return kcp_test_run ();
}
