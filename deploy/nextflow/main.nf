// Stain every stack of a folder, each in a task of its own:
//   nextflow run deploy/nextflow --stacks positions --out stained --model my-run
// A task that is told to stop (SIGTERM) ends with 143, is submitted again, and goes on: results are
// written into --out itself, where the next attempt finds what is done.
nextflow.enable.dsl = 2

params.stacks = null
params.out = 'stained'
params.model = 'universal-v1'
params.device = 'cuda'
params.options = ''

process STAIN {
  tag "${file(stack).name}"
  label 'gpu'
  maxRetries 10
  errorStrategy { task.exitStatus in [130, 137, 143] ? 'retry' : 'finish' }

  input:
  val stack // a path, and no file that is linked into the task's folder: that changes with each try
  val out

  output:
  val "${out}/${stem(stack)}.ome.zarr"

  script:
  """
  napari-llcm stain '${stack}' '${out}/${stem(stack)}.ome.zarr' --model '${params.model}' --device '${params.device}' ${params.options}
  """
}

def stem(path) {
  file(path).name.replaceFirst(/(\.ome)?\.(tiff?|zarr|nii(\.gz)?|czi|nd2|lif)$/, '')
}

workflow {
  if (!params.stacks) error 'Name the folder of stacks: --stacks FOLDER'
  out = file(params.out).toAbsolutePath().toString()
  stacks = Channel
    .fromPath("${params.stacks}/*", type: 'any', checkIfExists: true)
    .map { it.toAbsolutePath().toString() }
  STAIN(stacks, out) | view
}
