/* A server without Python: loads a SavedModel through TensorFlow's C API and calls it.
 *
 *   serve MODEL CALL -- CALL -- ...
 *
 * where CALL is one of
 *
 *   INPUT pixels HEIGHT WIDTH FILE    OUTPUT_OP INDEX TO  [OUTPUT_OP INDEX TO] ...
 *   INPUT files COUNT FILE ...        OUTPUT_OP INDEX TO  [OUTPUT_OP INDEX TO] ...
 *
 * INPUT and OUTPUT_OP name operations of the graph. The bytes of each output go to the file TO;
 * strings are written with a newline after each. A call that fails is told on stderr, and the
 * next one follows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

#define MAX_OUTPUTS 16

static void fail(const char* what, const char* why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static char* read_file(const char* path, size_t* size) {
  FILE* file = fopen(path, "rb");
  if (!file) fail(path, "cannot open");
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  char* content = malloc(*size + 1);
  if (fread(content, 1, *size, file) != *size) fail(path, "cannot read");
  fclose(file);
  return content;
}

static void write_output(const char* path, TF_Tensor* tensor) {
  FILE* file = fopen(path, "wb");
  if (!file) fail(path, "cannot open");
  if (TF_TensorType(tensor) == TF_STRING) {
    const TF_TString* strings = TF_TensorData(tensor);
    for (int64_t i = 0; i < TF_TensorElementCount(tensor); ++i) {
      fwrite(TF_TString_GetDataPointer(&strings[i]), 1, TF_TString_GetSize(&strings[i]), file);
      fputc('\n', file);
    }
  } else {
    fwrite(TF_TensorData(tensor), 1, TF_TensorByteSize(tensor), file);
  }
  fclose(file);
}

static void call(TF_Session* session, TF_Graph* graph, int argc, char** argv) {
  if (argc < 5) fail("usage", "see the head of serve.c");
  TF_Status* status = TF_NewStatus();
  TF_Tensor* input;
  int next;
  size_t size;
  if (strcmp(argv[1], "pixels") == 0) {
    int64_t shape[] = {1, atoi(argv[2]), atoi(argv[3]), 3};
    char* content = read_file(argv[4], &size);
    input = TF_AllocateTensor(TF_UINT8, shape, 4, size);
    memcpy(TF_TensorData(input), content, size);
    next = 5;
  } else {
    int64_t count = atoi(argv[2]);
    input = TF_AllocateTensor(TF_STRING, &count, 1, count * sizeof(TF_TString));
    TF_TString* strings = TF_TensorData(input);
    for (int i = 0; i < count; ++i) {
      char* content = read_file(argv[3 + i], &size);
      TF_TString_Init(&strings[i]);
      TF_TString_Copy(&strings[i], content, size);
    }
    next = 3 + (int)count;
  }

  TF_Output feed = {TF_GraphOperationByName(graph, argv[0]), 0};
  if (!feed.oper) fail(argv[0], "no such operation");
  TF_Output fetches[MAX_OUTPUTS];
  TF_Tensor* outputs[MAX_OUTPUTS];
  int count = 0;
  for (int i = next; i + 2 < argc && count < MAX_OUTPUTS; i += 3, ++count) {
    fetches[count].oper = TF_GraphOperationByName(graph, argv[i]);
    fetches[count].index = atoi(argv[i + 1]);
    if (!fetches[count].oper) fail(argv[i], "no such operation");
  }
  TF_SessionRun(session, NULL, &feed, &input, 1, fetches, outputs, count, NULL, 0, NULL, status);
  if (TF_GetCode(status) != TF_OK) {
    fprintf(stderr, "call failed: %s\n", TF_Message(status));
    return;
  }
  for (int i = 0; i < count; ++i) write_output(argv[next + 3 * i + 2], outputs[i]);
}

int main(int argc, char** argv) {
  if (argc < 3) fail("usage", "see the head of serve.c");
  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  const char* tags[] = {"serve"};
  TF_Session* session =
      TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL, status);
  if (TF_GetCode(status) != TF_OK) fail("load", TF_Message(status));
  for (int first = 2, last; first < argc; first = last + 1) {
    for (last = first; last < argc && strcmp(argv[last], "--") != 0;) ++last;
    call(session, graph, last - first, argv + first);
  }
  TF_CloseSession(session, status);
  return 0;
}
