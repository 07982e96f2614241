/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Text to a descriptor without ever blocking the main loop, and without making the descriptor
 * non-blocking: it is shared with other programs. */
typedef struct _HostWriter HostWriter;

typedef struct
{
  /* What was waiting is written, or almost: more may be added. */
  void (*drained) (gpointer      data);
  /* Once: nobody reads any more (NULL), or writing failed. What is added later is dropped. */
  void (*broken)  (gpointer      data,
                   const GError *error);
} HostWriterFuncs;

/* Does not own @fd. */
HostWriter *host_writer_new         (int                    fd,
                                     const HostWriterFuncs *funcs,
                                     gpointer               data) G_GNUC_WARN_UNUSED_RESULT;
void        host_writer_free        (HostWriter            *self);

void        host_writer_add         (HostWriter            *self,
                                     const char            *text,
                                     gssize                 length);

/* What is waiting, in bytes. */
gsize       host_writer_get_backlog (HostWriter            *self);

/* Whether so much is waiting that the sources of text should pause until drained(). */
gboolean    host_writer_is_full     (HostWriter            *self);

/* Lets go of the descriptor, without calling broken(). */
void        host_writer_close       (HostWriter            *self);

/* Blocks for at most @milliseconds until all is written. */
void        host_writer_drain       (HostWriter            *self,
                                     int                    milliseconds);

G_END_DECLS
