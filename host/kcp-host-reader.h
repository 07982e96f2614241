/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Lines from a stream, as they come, without blocking. */
typedef struct _HostReader HostReader;

typedef struct
{
  /* One line without its end, NUL-terminated (and perhaps with NULs inside); NULL for a line longer
   * than the limit, of which nothing is kept. May pause or close the reader. */
  void (*line)  (gpointer      data,
                 const char   *line,
                 gsize         length);
  /* The end, once: NULL, or why reading failed. */
  void (*ended) (gpointer      data,
                 const GError *error);
} HostReaderFuncs;

HostReader *host_reader_new        (GInputStream          *stream,
                                    gsize                  max_line,
                                    const HostReaderFuncs *funcs,
                                    gpointer               data) G_GNUC_WARN_UNUSED_RESULT;

/* A reader starts paused. At most what was read at once is kept while it is. */
void        host_reader_set_paused (HostReader            *self,
                                    gboolean               paused);

/* Calls nothing any more, and frees the reader when the read in flight has returned. */
void        host_reader_close      (HostReader            *self);

G_END_DECLS
