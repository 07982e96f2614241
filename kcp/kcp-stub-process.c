/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-stub-private.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

/* What the spawn leaves behind is put in order here, where a fork would have done it: the spawn
 * itself has to be one that copies nothing of a large host. */

/* 0, 1 and 2 must be something, or the next file that is opened becomes stdout. */
static void
fill_standard_descriptors (void)
{
  int fd;

  do
    fd = open ("/dev/null", O_RDWR | O_CLOEXEC);
  while (fd >= 0 && fd <= 2 && fcntl (fd, F_SETFD, 0) == 0);

  if (fd > 2)
    close (fd);
}

static void
close_other_descriptors (void)
{
  if (syscall (SYS_close_range, 3u, ~0u, 0u) == 0)
    return;

  for (long fd = sysconf (_SC_OPEN_MAX); fd > 2; fd--)
    close ((int) MIN (fd, G_MAXINT));
}

static void
reset_signals (void)
{
  sigset_t none;

  for (int number = 1; number < NSIG; number++)
    if (number != SIGKILL && number != SIGSTOP)
      signal (number, SIG_DFL);

  /* A write to a pipe that nobody reads is an error, not the end. */
  signal (SIGPIPE, SIG_IGN);
  sigemptyset (&none);
  sigprocmask (SIG_SETMASK, &none, NULL);
}

static void
set_core_limit (gboolean allowed)
{
  struct rlimit limit;

  if (getrlimit (RLIMIT_CORE, &limit) < 0)
    return;
  limit.rlim_cur = allowed ? limit.rlim_max : 0;
  setrlimit (RLIMIT_CORE, &limit);
}

void
kcp_stub_allow_cores (void)
{
  set_core_limit (TRUE);
}

void
kcp_stub_isolate (void)
{
  fill_standard_descriptors ();
  close_other_descriptors ();
  setpgid (0, 0);
  reset_signals ();
  set_core_limit (FALSE);
}

/* The variable is overwritten where it lies, for /proc/PID/environ shows that memory. */
static char *
take_variable (const char *name)
{
  g_autoptr (GPtrArray) places = g_ptr_array_new ();
  gsize length = strlen (name);
  char *value = NULL;

  for (char **entry = environ; entry && *entry; entry++)
    if (strncmp (*entry, name, length) == 0 && (*entry)[length] == '=')
      {
        if (value == NULL)
          value = g_strdup (*entry + length + 1);
        g_ptr_array_add (places, *entry);
      }

  /* First out of the table, where the name is needed to find it. */
  g_unsetenv (name);
  for (guint i = 0; i < places->len; i++)
    explicit_bzero (places->pdata[i], strlen (places->pdata[i]));
  return value;
}

/* FALSE: this was not started by a host. */
gboolean
kcp_stub_take_environment (KcpStubEnvironment *environment)
{
  environment->request_path = take_variable ("KCP_REQUEST_SOCKET");
  environment->callback_path = take_variable ("KCP_CALLBACK_SOCKET");
  environment->actor_name = take_variable ("KCP_ACTOR_NAME");
  environment->token = take_variable ("KCP_TOKEN");

  return environment->request_path && environment->callback_path && environment->token;
}

void
kcp_stub_environment_clear (KcpStubEnvironment *environment)
{
  if (environment->token)
    explicit_bzero (environment->token, strlen (environment->token));
  g_clear_pointer (&environment->token, g_free);
  g_clear_pointer (&environment->request_path, g_free);
  g_clear_pointer (&environment->callback_path, g_free);
  g_clear_pointer (&environment->actor_name, g_free);
}
