/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "misbehave.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What a plugin can see of how it was started. */

extern char **environ;

/* A file of /proc as text, its NULs as newlines; JSON has no room for them. */
static void
add_proc_file (JsonObject *object,
               const char *name,
               const char *path)
{
  g_autofree char *text = NULL;
  g_autofree char *valid = NULL;
  gsize length = 0;

  if (!g_file_get_contents (path, &text, &length, NULL))
    return;

  for (gsize i = 0; i < length; i++)
    if (text[i] == '\0')
      text[i] = '\n';
  valid = g_utf8_make_valid (text, (gssize) length);
  json_object_set_string_member (object, name, valid);
}

void
misbehave_handle_environment (gpointer       self,
                              KcpInvocation *invocation)
{
  JsonNode *node = json_node_new (JSON_NODE_OBJECT);
  JsonObject *object = json_object_new ();
  JsonObject *variables = json_object_new ();

  for (char **entry = environ; entry && *entry; entry++)
    {
      g_autofree char *name = g_strndup (*entry, strcspn (*entry, "="));

      json_object_set_string_member (variables, name, g_getenv (name));
    }

  json_object_set_object_member (object, "variables", variables);
  add_proc_file (object, "environ", "/proc/self/environ");
  add_proc_file (object, "cmdline", "/proc/self/cmdline");
  json_node_take_object (node, object);
  kcp_invocation_reply (invocation, node);
}

static void
add_signals (JsonObject *object)
{
  JsonArray *blocked = json_array_new (), *handled = json_array_new ();
  sigset_t mask;

  sigprocmask (SIG_SETMASK, NULL, &mask);
  for (int number = 1; number < NSIG; number++)
    {
      struct sigaction action;

      if (sigismember (&mask, number) == 1)
        json_array_add_int_element (blocked, number);
      if (sigaction (number, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
        json_array_add_int_element (handled, number);
    }

  json_object_set_array_member (object, "blocked", blocked);
  json_object_set_array_member (object, "handled", handled);
}

static void
add_descriptors (JsonObject *object)
{
  JsonObject *descriptors = json_object_new ();

  for (int fd = 0; fd < 1024; fd++)
    {
      g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", fd);
      g_autofree char *target = g_file_read_link (path, NULL);
      g_autofree char *name = g_strdup_printf ("%d", fd);

      if (target)
        json_object_set_string_member (descriptors, name, target);
    }
  json_object_set_object_member (object, "descriptors", descriptors);
}

void
misbehave_handle_process (gpointer       self,
                          KcpInvocation *invocation)
{
  JsonNode *node = json_node_new (JSON_NODE_OBJECT);
  JsonObject *object = json_object_new ();
  g_autofree char *directory = g_get_current_dir ();
  struct rlimit cores = { 0 };

  getrlimit (RLIMIT_CORE, &cores);
  json_object_set_int_member (object, "pid", getpid ());
  json_object_set_int_member (object, "group", getpgrp ());
  json_object_set_string_member (object, "directory", directory);
  json_object_set_boolean_member (object, "cores", cores.rlim_cur > 0);
  json_object_set_boolean_member (object, "cores_possible", cores.rlim_max > 0);
  add_signals (object);
  add_descriptors (object);
  json_node_take_object (node, object);
  kcp_invocation_reply (invocation, node);
}
