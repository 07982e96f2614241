/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-spawn-private.h"

#include "kcp-debug-private.h"
#include "kcp-error.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char **
build_argv (const KcpLaunchPlan *plan)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();

  for (guint i = 0; plan->wrapper && plan->wrapper[i]; i++)
    g_ptr_array_add (argv, g_strdup (plan->wrapper[i]));
  g_ptr_array_add (argv, g_strdup (plan->stub));
  g_ptr_array_add (argv, NULL);

  return (char **) g_ptr_array_free (g_steal_pointer (&argv), FALSE);
}

static char **
build_environ (const KcpLaunchPlan *plan,
               const char          *request_path,
               const char          *callback_path,
               const char          *token)
{
  char **env = g_strdupv (plan->environ);

  env = g_environ_setenv (env, "KCP_REQUEST_SOCKET", request_path, TRUE);
  env = g_environ_setenv (env, "KCP_CALLBACK_SOCKET", callback_path, TRUE);
  env = g_environ_setenv (env, "KCP_ACTOR_NAME", plan->name, TRUE);
  return g_environ_setenv (env, "KCP_TOKEN", token, TRUE);
}

static void
set_nonblocking (int fd)
{
  fcntl (fd, F_SETFL, fcntl (fd, F_GETFL) | O_NONBLOCK);
}

/* With these flags and without a working directory or a child setup GLib takes posix_spawn(),
 * which does not copy the page tables of a large host. The stub does the rest itself. */
gboolean
kcp_spawn (const KcpLaunchPlan  *plan,
           const char           *request_path,
           const char           *callback_path,
           const char           *token,
           KcpSpawned           *spawned,
           GError              **error)
{
  g_auto (GStrv) argv = build_argv (plan);
  g_auto (GStrv) env = build_environ (plan, request_path, callback_path, token);
  GSpawnFlags flags = G_SPAWN_LEAVE_DESCRIPTORS_OPEN | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CLOEXEC_PIPES;
  g_autoptr (GError) reason = NULL;
  GPid pid;

  if (plan->wrapper)
    flags |= G_SPAWN_SEARCH_PATH;

  if (!g_spawn_async_with_pipes_and_fds (NULL, (const char *const *) argv, (const char *const *) env, flags,
                                         NULL, NULL, -1, -1, -1, NULL, NULL, 0, &pid, NULL,
                                         &spawned->stdout_fd, &spawned->stderr_fd, &reason))
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_SPAWN_FAILED, "cannot start %s: %s%s", argv[0], reason->message,
                   plan->wrapper ? "" : "; set KCP_STUB to the path of kcp-child if it is somewhere else");
      return FALSE;
    }

  spawned->pid = (int) pid;
  spawned->pid_fd = (int) syscall (SYS_pidfd_open, pid, 0);
  set_nonblocking (spawned->stdout_fd);
  set_nonblocking (spawned->stderr_fd);
  KCP_DEBUG (KCP_DEBUG_CHILD, "started %s as pid %d", argv[0], spawned->pid);
  return TRUE;
}

/* Whether it has ended. FALSE in @ours: someone else in this program has reaped it, a
 * waitpid (-1) perhaps, and its number may be another process by now. */
static gboolean
look (const KcpSpawned *spawned,
      gboolean         *ours)
{
  siginfo_t info = { 0 };
  int result;

  do
    result = waitid (P_PID, (id_t) spawned->pid, &info, WEXITED | WNOHANG | WNOWAIT);
  while (result < 0 && errno == EINTR);

  *ours = result == 0;
  return result < 0 || info.si_pid == spawned->pid;
}

gboolean
kcp_spawned_ended (const KcpSpawned *spawned)
{
  gboolean ours;

  return look (spawned, &ours);
}

void
kcp_spawned_signal (const KcpSpawned *spawned,
                    int               signal_number)
{
  gboolean ours;

  look (spawned, &ours);
  if (!ours)
    return;

  KCP_DEBUG (KCP_DEBUG_CHILD, "signal %d to pid %d", signal_number, spawned->pid);

  if (getpgid (spawned->pid) == spawned->pid)
    kill (-spawned->pid, signal_number);
  else
    kill (spawned->pid, signal_number);
}

void
kcp_spawned_reap (KcpSpawned    *spawned,
                  KcpExitStatus *status)
{
  struct rusage usage = { 0 };
  int wait_status = 0, result = -1;
  gboolean ours;

  /* As long as the leader is not reaped, the group's number is its own. */
  look (spawned, &ours);
  if (ours && getpgid (spawned->pid) == spawned->pid)
    kill (-spawned->pid, SIGKILL);

  do
    result = wait4 (spawned->pid, &wait_status, 0, &usage);
  while (result < 0 && errno == EINTR);

  memset (status, 0, sizeof *status);
  status->unknown = result < 0;
  status->signalled = WIFSIGNALED (wait_status);
  status->number = status->signalled ? WTERMSIG (wait_status) : WEXITSTATUS (wait_status);
  status->core_dumped = status->signalled && WCOREDUMP (wait_status);
  status->user_us = usage.ru_utime.tv_sec * G_USEC_PER_SEC + usage.ru_utime.tv_usec;
  status->system_us = usage.ru_stime.tv_sec * G_USEC_PER_SEC + usage.ru_stime.tv_usec;
  status->peak_bytes = (gint64) usage.ru_maxrss * 1024;

  if (spawned->pid_fd >= 0)
    close (spawned->pid_fd);
  spawned->pid_fd = -1;
}
