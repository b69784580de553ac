"""What ``--help`` shows at the end of each command: examples to copy."""

from __future__ import annotations

EXAMPLES = {
    "inspect": "[bold]Examples[/bold]\n\n  napari-ies inspect unet.pth"
    "\n\n  napari-ies inspect unet.pth --write-profile",
    "segment": r"""[bold]Examples[/bold]

  napari-ies segment unet.pth --image FLAIR=flair.nii.gz \
      --image T1=t1.nii.gz --out results

  napari-ies segment unet.pth --image FLAIR=flair.nii.gz \
      --image T1=t1.nii.gz --reference lesions.nii.gz --threshold 0.5 \
      --out results""",
    "explain": r"""[bold]Examples[/bold]

  napari-ies explain unet.pth --image FLAIR=flair.nii.gz \
      --image T1=t1.nii.gz --lesion 3 --lesion 5 --out results

  napari-ies explain unet.pth --image FLAIR=flair.nii.gz \
      --image T1=t1.nii.gz --all --aggregation max \
      --labels results/sub-07/anat/sub-07_desc-lesions_dseg.nii.gz \
      --out results

  napari-ies explain unet.pth --image FLAIR=flair.nii.gz \
      --image T1=t1.nii.gz --mask brainstem.nii.gz \
      --method gradcam++ --out results""",
    "context": r"""[bold]Examples[/bold]

  napari-ies context unet.pth --image FLAIR=flair.nii.gz \
      --image T1=t1.nii.gz --lesion 3 --out results

  napari-ies context unet.pth nnunet.pth --image FLAIR=flair.nii.gz \
      --image T1=t1.nii.gz --reference lesions.nii.gz --paper \
      --out results

  napari-ies context unet.pth --image FLAIR=flair.nii.gz \
      --image T1=t1.nii.gz --all --sequence FLAIR --sequence T1 \
      --step 0.5 --to 20 --out results""",
    "statistics": """[bold]Examples[/bold]

  napari-ies statistics results

  napari-ies statistics results --draws 10000 --out tables""",
    "report": """[bold]Examples[/bold]

  napari-ies report results

  napari-ies report results --images data --out checks/report.html""",
    "qa": """[bold]Examples[/bold]

  napari-ies qa fit results --aggregation max --out checks/qa

  napari-ies qa apply other-results --model checks/qa/model.json""",
    "open": """[bold]Examples[/bold]

  napari-ies open results --case sub-07_ses-1 --lesion 3

  napari-ies open results --case sub-07 --images data --checkpoint unet.pth""",
    "figure": r"""[bold]Examples[/bold]

  napari-ies figure results/sub-07/anat/*_lesion-003_*_mask.nii.gz \
      --image FLAIR=flair.nii.gz --image T1=t1.nii.gz --out lesion3.pdf

  napari-ies figure results/sub-*/anat/*lesion-003*agg-max*_saliency.nii.gz \
      --layout montage --slices 8 --theme dark --out figures

  napari-ies figure results/sub-07/anat/*_saliency.nii.gz --whole \
      --width 88 --sequence FLAIR --format svg --out figures

  napari-ies figure results/sub-07/anat/*lesion-003*agg-mean*_saliency.nii.gz \
      --at -24.5 12 30 --limits own --out figures""",
    "cohort": r"""[bold]Examples[/bold]

  napari-ies cohort --model_checkpoint unet_epoch_31.pth \
      --input_val_paths data data --input_prefixes flair.nii.gz t1.nii.gz \
      --target_val_path data --target_prefix lesions.nii.gz --threshold 0.3

  napari-ies cohort --model-checkpoint unet.pth --bids dataset \
      --reference '*_label-lesion_mask.nii.gz' --lesions TP FP \
      --method smoothgrad --aggregation mean max --out results --dry-run

  napari-ies cohort --model-checkpoint unet.pth --table cases.tsv \
      --largest 5 --layout ies --out results""",
    "bids-app": r"""[bold]Examples[/bold]

  napari-ies bids-app dataset results participant \
      --participant-label 01 02 --model-checkpoint unet.pth \
      --reference '*_label-lesion_mask.nii.gz'

  napari-ies bids-app dataset results group""",
    "demo": """[bold]Examples[/bold]

  napari-ies demo

  napari-ies demo --screenshot demo.png""",
}
