/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-stub-private.h"

#include "kcp-error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Between SIGXCPU, which a plugin may handle to put something away, and SIGKILL. The kernel looks
 * at the hard limit first: were both the same, there would be no SIGXCPU. */
#define CPU_GRACE 2

static const int numbers[KCP_N_RESOURCES] = {
  [KCP_RESOURCE_ADDRESS_SPACE] = RLIMIT_AS,
  [KCP_RESOURCE_CPU_TIME] = RLIMIT_CPU,
  [KCP_RESOURCE_OPEN_FILES] = RLIMIT_NOFILE,
  [KCP_RESOURCE_CORE_SIZE] = RLIMIT_CORE,
  [KCP_RESOURCE_FILE_SIZE] = RLIMIT_FSIZE,
};

static gboolean
apply_one (KcpResource   resource,
           guint64       value,
           GError      **error)
{
  struct rlimit limit;
  int number = numbers[resource];

  if (getrlimit (number, &limit) == 0)
    {
      rlim_t inherited = limit.rlim_max;

      limit.rlim_cur = value == KCP_RESOURCE_UNLIMITED ? inherited : (rlim_t) value;
      if (value != KCP_RESOURCE_UNLIMITED)
        limit.rlim_max = limit.rlim_cur;
      if (number == RLIMIT_CPU && value < inherited)
        limit.rlim_max = MIN (limit.rlim_cur + CPU_GRACE, inherited);
      if (setrlimit (number, &limit) == 0)
        return TRUE;
    }

  {
    int saved = errno;
    g_autofree char *text = kcp_resource_describe (resource, value);

    g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "cannot set the limit of %s: %s", text,
                 g_strerror (saved));
  }
  return FALSE;
}

static gboolean
apply_oom_score (int      score,
                 GError **error)
{
  char text[16];
  int length = g_snprintf (text, sizeof text, "%d", score);
  int fd = open ("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  gboolean done = fd >= 0 && write (fd, text, (size_t) length) == length;
  int saved = errno;

  if (fd >= 0)
    close (fd);
  if (!done)
    g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "cannot set the OOM score adjustment to %d: %s",
                 score, g_strerror (saved));
  return done;
}

/* On Linux this is the calling thread's alone, and that of the threads it makes from now on. The
 * watchdog was there before, and stays as quick as it was: it is what ends the others. */
static gboolean
apply_nice (int      nice,
            GError **error)
{
  if (setpriority (PRIO_PROCESS, 0, nice) == 0)
    return TRUE;

  g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "cannot set the nice value to %d: %s", nice,
               g_strerror (errno));
  return FALSE;
}

/* Memory comes last: until then there may be something to say. */
gboolean
kcp_stub_apply_limits (const KcpResourceLimits  *limits,
                       GError                  **error)
{
  if (limits->has_oom_score && !apply_oom_score (limits->oom_score, error))
    return FALSE;
  if (limits->has_nice && !apply_nice (limits->nice, error))
    return FALSE;

  for (guint i = KCP_N_RESOURCES; i > 0; i--)
    if (KCP_RESOURCE_IS_SET (limits, i - 1) && !apply_one ((KcpResource) (i - 1), limits->values[i - 1], error))
      return FALSE;

  return TRUE;
}
