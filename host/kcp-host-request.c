/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-request.h"

#include <string.h>

#define MAX_PATH 255

/* These texts travel in the output, which scripts read: they are not translated. */

static void
set_bad (GError     **error,
         const char  *format,
         ...) G_GNUC_PRINTF (2, 3);

static void
set_bad (GError     **error,
         const char  *format,
         ...)
{
  va_list args;

  va_start (args, format);
  if (error)
    *error = g_error_new_valist (KCP_ERROR, KCP_ERROR_INVALID_MESSAGE, format, args);
  va_end (args);
}

gboolean
host_path_check (const char  *path,
                 GError     **error)
{
  gsize length = strlen (path);

  if (length == 0)
    set_bad (error, "the path is empty");
  else if (length > MAX_PATH)
    set_bad (error, "the path is %" G_GSIZE_FORMAT " bytes long, %d are allowed", length, MAX_PATH);
  else if (!g_utf8_validate (path, -1, NULL))
    set_bad (error, "the path is not valid UTF-8");
  else
    return TRUE;

  return FALSE;
}

void
host_request_free (HostRequest *self)
{
  g_free (self->id);
  g_clear_pointer (&self->message, kcp_message_unref);
  g_clear_pointer (&self->body, json_node_unref);
  g_free (self->text);
  g_free (self);
}

/* ---- members of the object, each with its type checked ---- */

static gboolean
node_is (JsonNode *node,
         GType     type)
{
  return JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == type;
}

static gboolean
read_id (JsonObject  *object,
         char       **id,
         GError     **error)
{
  JsonNode *node = json_object_get_member (object, "id");

  if (node == NULL)
    return TRUE;

  if (JSON_NODE_HOLDS_OBJECT (node) || JSON_NODE_HOLDS_ARRAY (node))
    {
      set_bad (error, "“id” must be a string, a number, true, false or null");
      return FALSE;
    }

  *id = kcp_json_to_string (node, error);
  return *id != NULL;
}

static gboolean
read_string (JsonObject  *object,
             const char  *name,
             const char **value,
             GError     **error)
{
  JsonNode *node = json_object_get_member (object, name);

  if (node && !node_is (node, G_TYPE_STRING))
    {
      set_bad (error, "“%s” must be a string", name);
      return FALSE;
    }

  *value = node ? json_node_get_string (node) : NULL;
  return TRUE;
}

/* -1 stands for a member that is not there. */
static gboolean
read_integer (JsonObject  *object,
              const char  *name,
              gint64       min,
              gint64       max,
              gint64      *value,
              GError     **error)
{
  JsonNode *node = json_object_get_member (object, name);

  *value = -1;
  if (node == NULL)
    return TRUE;

  if (node_is (node, G_TYPE_INT64))
    *value = json_node_get_int (node);
  if (*value < min || *value > max)
    {
      set_bad (error, "“%s” must be a whole number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
               name, min, max);
      return FALSE;
    }

  return TRUE;
}

static JsonNode *
take_body (JsonObject *object,
           const char *name)
{
  JsonNode *node = json_object_get_member (object, name);

  return node ? json_node_ref (node) : NULL;
}

/* ---- the kinds of lines ---- */

typedef gboolean (*ReadFunc) (HostRequest  *self,
                              JsonObject   *object,
                              GError      **error);

static gboolean
read_call (HostRequest  *self,
           JsonObject   *object,
           GError      **error)
{
  const char *path, *traceparent;
  gint64 timeout;

  if (!read_string (object, self->kind == HOST_REQUEST_CALL ? "call" : "tell", &path, error) ||
      !host_path_check (path, error) ||
      !read_string (object, "traceparent", &traceparent, error) ||
      !read_integer (object, "timeout_ms", 0, G_MAXINT, &timeout, error))
    return FALSE;

  self->message = kcp_message_new (path, take_body (object, "body"));
  if (timeout >= 0)
    kcp_message_set_timeout (self->message, (int) timeout);

  if (traceparent)
    {
      g_autoptr (KcpTraceContext) trace = kcp_trace_context_parse (traceparent, NULL, error);

      if (trace == NULL)
        return FALSE;
      kcp_message_set_trace_context (self->message, trace);
    }

  return TRUE;
}

static gboolean
read_cancel (HostRequest  *self,
             JsonObject   *object,
             GError      **error)
{
  JsonNode *node = json_object_get_member (object, "cancel");

  if (self->id == NULL)
    set_bad (error, "“cancel” needs the “id” of the call");
  else if (!node_is (node, G_TYPE_BOOLEAN) || !json_node_get_boolean (node))
    set_bad (error, "“cancel” must be true");
  else
    return TRUE;

  return FALSE;
}

static gboolean
read_answer (HostRequest  *self,
             JsonObject   *object,
             GError      **error)
{
  const char *text = NULL;
  gint64 callback;

  if (!read_integer (object, "callback", 1, G_MAXINT64, &callback, error))
    return FALSE;
  self->callback = (guint64) callback;

  switch (json_object_has_member (object, "reply") + 2 * json_object_has_member (object, "item") +
          4 * json_object_has_member (object, "error"))
    {
    case 1:
      self->kind = HOST_REQUEST_CALLBACK_REPLY;
      self->body = take_body (object, "reply");
      return TRUE;

    case 2:
      self->kind = HOST_REQUEST_CALLBACK_ITEM;
      self->body = take_body (object, "item");
      return TRUE;

    case 4:
      self->kind = HOST_REQUEST_CALLBACK_ERROR;
      if (!read_string (object, "error", &text, error))
        return FALSE;
      self->text = g_strdup (text);
      return TRUE;

    default:
      set_bad (error, "“callback” needs one of “reply”, “item” and “error”");
      return FALSE;
    }
}

/* A member that means nothing is a mistake, most likely a misspelt one: it is not passed over. */
static gboolean
check_members (JsonObject         *object,
               const char *const  *known,
               GError            **error)
{
  JsonObjectIter iter;
  const char *name;

  json_object_iter_init_ordered (&iter, object);
  while (json_object_iter_next_ordered (&iter, &name, NULL))
    if (!g_strv_contains (known, name))
      {
        g_autofree char *list = g_strjoinv ("”, “", (char **) known);

        set_bad (error, "“%s” is not known here, only “%s”", name, list);
        return FALSE;
      }

  return TRUE;
}

static const struct
{
  const char *key;
  HostRequestKind kind;
  ReadFunc read;
  const char *known[6];
} forms[] = {
  { "call", HOST_REQUEST_CALL, read_call, { "id", "call", "body", "timeout_ms", "traceparent" } },
  { "tell", HOST_REQUEST_TELL, read_call, { "id", "tell", "body", "traceparent" } },
  { "cancel", HOST_REQUEST_CANCEL, read_cancel, { "id", "cancel" } },
  { "callback", HOST_REQUEST_CALLBACK_REPLY, read_answer, { "callback", "reply", "item", "error" } },
};

static gboolean
read_object (HostRequest  *self,
             JsonObject   *object,
             GError      **error)
{
  if (!read_id (object, &self->id, error))
    return FALSE;

  for (gsize i = 0; i < G_N_ELEMENTS (forms); i++)
    if (json_object_has_member (object, forms[i].key))
      {
        self->kind = forms[i].kind;
        return check_members (object, forms[i].known, error) && forms[i].read (self, object, error);
      }

  set_bad (error, "the object has none of “call”, “tell”, “cancel” and “callback”");
  return FALSE;
}

/* path, blanks, JSON; the JSON may be missing */
static gboolean
read_short (HostRequest  *self,
            const char   *line,
            gsize         length,
            GError      **error)
{
  gsize path_length = strcspn (line, " \t");
  g_autofree char *path = g_strndup (line, path_length);
  gsize rest = path_length + strspn (line + path_length, " \t");
  JsonNode *body = NULL;

  if (!host_path_check (path, error))
    return FALSE;

  if (rest < length)
    {
      body = kcp_json_parse (line + rest, (gssize) (length - rest), error);
      if (body == NULL)
        return FALSE;
    }

  self->kind = HOST_REQUEST_CALL;
  self->message = kcp_message_new (path, body);
  return TRUE;
}

HostRequest *
host_request_parse (const char  *line,
                    gsize        length,
                    char       **id,
                    GError     **error)
{
  g_autoptr (HostRequest) self = g_new0 (HostRequest, 1);
  gsize blanks = strspn (line, " \t");
  gboolean fine;

  *id = NULL;
  line += blanks;
  length -= blanks;
  while (length > 0 && (line[length - 1] == ' ' || line[length - 1] == '\t' || line[length - 1] == '\r'))
    length--;

  if (*line == '{')
    {
      g_autoptr (JsonNode) node = kcp_json_parse (line, (gssize) length, error);

      fine = node && read_object (self, json_node_get_object (node), error);
    }
  else
    {
      g_autofree char *text = g_strndup (line, length);

      /* g_strndup() ends at a NUL; a line that has one is seen by its length. */
      fine = strlen (text) == length && read_short (self, text, length, error);
      if (!fine && error && *error == NULL)
        set_bad (error, "the line has a NUL character");
    }

  if (fine)
    return g_steal_pointer (&self);

  *id = g_steal_pointer (&self->id);
  return NULL;
}
